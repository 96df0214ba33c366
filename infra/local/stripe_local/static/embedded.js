// In the iframe: tells the page around it how tall this one is, and when the order is placed.
"use strict";
(() => {
  const state = document.getElementById("embedded").dataset;
  const tell = (message) => parent.postMessage(message, "*"); // nothing secret: the parent knows all of it
  tell({ type: "height", height: document.documentElement.scrollHeight });
  if (state.status === "complete") tell({ type: "complete", returnUrl: state.returnUrl || null });
})();
