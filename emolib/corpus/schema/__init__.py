"""What one line of each corpus file must look like.

Every file is JSON Lines in UTF-8: one object a line, validated by one of these models. Unknown keys
are errors, so that a typing mistake cannot pass as an optional field left out.
"""
