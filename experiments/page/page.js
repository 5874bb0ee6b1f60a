// The divider of a comparison, and images from the clipboard.

const jaxcolor = {
  // Where the divider is. A new result keeps its position.
  position: "50",

  divide(input) {
    this.position = input.value;
    document.documentElement.style.setProperty("--divider", `${input.value}%`);
  },

  // Put files that were pasted, or dropped beside the place for them, into the tab that is shown.
  take(event, data) {
    if (!data?.files.length || event.target.closest?.(".drop button")) return;
    event.preventDefault();
    const drop = [...document.querySelectorAll(".drop")].find((element) => element.offsetParent);
    if (!drop) return;
    if (!drop.querySelector("input[type=file]")) {
      drop.querySelector("button[aria-label=Clear]")?.click(); // a place for one file, which is taken
    }
    this.fill(drop, data.files, 20);
  },

  // Fill the file input as soon as there is one.
  fill(drop, files, attempts) {
    const input = drop.querySelector("input[type=file]");
    if (input) {
      input.files = files;
      input.dispatchEvent(new Event("change", { bubbles: true }));
    } else if (attempts) {
      setTimeout(() => this.fill(drop, files, attempts - 1), 50);
    }
  },
};

document.addEventListener("paste", (event) => jaxcolor.take(event, event.clipboardData));
document.addEventListener("drop", (event) => jaxcolor.take(event, event.dataTransfer));
document.addEventListener("dragover", (event) => event.preventDefault());
new MutationObserver(() => {
  for (const figure of document.querySelectorAll(".figure:not([data-placed])")) {
    figure.dataset.placed = "yes";
    const divider = figure.querySelector("input");
    if (divider) divider.value = jaxcolor.position;
    // On a phone, results are below everything else.
    if (window.innerWidth < 700) figure.scrollIntoView({ block: "nearest", behavior: "smooth" });
  }
}).observe(document.documentElement, { childList: true, subtree: true });
