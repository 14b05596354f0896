// Everything works without this: it adds the buttons, and knows an iPad that calls itself a Mac.
if (navigator.userAgent.includes("Macintosh") && navigator.maxTouchPoints > 1) {
  for (const client of document.querySelectorAll("details[open]")) {
    client.open = false;
  }
  document.querySelector(".ios").open = true;
}
for (const address of document.querySelectorAll(".address")) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Copy";
  button.setAttribute("aria-live", "polite");
  button.addEventListener("click", () => {
    getSelection().selectAllChildren(address);
    // The newer way needs https, which a server at home often does not have.
    const copied = document.execCommand("copy");
    button.textContent = copied ? "Copied" : "Selected";
  });
  address.after(button);
}
