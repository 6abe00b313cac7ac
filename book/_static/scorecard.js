// Filters of the table of claims. Without it every claim is shown and nothing is lost.
(() => {
  const root = document.querySelector(".sc-claims");
  const form = root.querySelector("form");
  const find = (selector) => [...root.querySelectorAll(selector)];
  const claims = find("[data-verdicts]");
  const models = [...form.elements.model.options].slice(1).map((option) => option.value);

  form.hidden = false;
  form.addEventListener("change", show);
  // The fields are empty only after the event.
  form.addEventListener("reset", () => setTimeout(show));
  form.addEventListener("submit", (event) => event.preventDefault());
  for (const link of document.querySelectorAll(".sc-counts a"))
    link.addEventListener("click", () => {
      form.elements.verdict.value = link.dataset.verdict;
      show();
    });
  addEventListener("hashchange", reveal);
  show();
  reveal();

  function show() {
    const { verdict, section, model } = Object.fromEntries(new FormData(form));
    // With no model chosen, the verdict is that of this run, the first column.
    const column = Math.max(models.indexOf(model), 0);
    let shown = 0;
    for (const claim of claims) {
      const fits =
        (!verdict || claim.dataset.verdicts.split("|")[column] === verdict) &&
        (!section || claim.dataset.section === section);
      claim.hidden = !fits;
      shown += fits;
    }
    for (const part of find(".sc-section")) {
      part.hidden = !part.querySelector("[data-verdicts]:not([hidden])");
      if (part.matches("details") && (verdict || section)) part.open = true;
    }
    for (const cell of find("[data-model]")) cell.hidden = Boolean(model) && cell.dataset.model !== model;
    const heading = root.querySelector("#not-tested");
    if (heading) heading.hidden = !root.querySelector("details.sc-section:not([hidden])");
    form.querySelector("output").value = `${shown} of ${claims.length} claims`;
  }

  // A link to a claim shows it, whatever was filtered or folded.
  function reveal() {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target || !root.contains(target)) return;
    if (target.hidden || target.closest("[hidden]")) {
      form.reset();
      show();
    }
    const folded = target.closest("details");
    if (folded) folded.open = true;
    target.scrollIntoView();
  }
})();
