"""Kernels that run the notebooks: only errors in the terminal, no history on disk."""

c = get_config()  # noqa: F821 - given by IPython
c.IPKernelApp.log_level = "ERROR"
c.HistoryManager.enabled = False
