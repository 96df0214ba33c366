// The upgrade page over the chat, through the script that it serves itself.

let script;

export function loadUpgrades(source) {
  script = new Promise((resolve, reject) => {
    const node = document.createElement("script");
    node.src = source;
    node.onload = () => resolve(window.Tollkeeper);
    node.onerror = () => reject(new Error("the upgrade page could not be loaded"));
    document.head.append(node);
  });
  // Whoever opens the overlay hears of it; until then it is nobody's error.
  script.catch(() => {});
}

// Resolves to "paid" or "dismissed", or to "unavailable" where there is no overlay.
export async function openUpgrade(url) {
  try {
    return await (await script).open(url);
  } catch {
    return "unavailable";
  }
}

// A banner where a limit is near; `link` asks for the address that its button leads to.
export async function warn(warnings, link) {
  try {
    (await script).warn(warnings, link);
  } catch {
    // Without the script there is no banner, and the chat goes on.
  }
}
