// Tollkeeper's overlay: <script src="https://<your upgrade page>/embed.js"></script>
//
//   const outcome = await Tollkeeper.open(answer.upgrade_url); // "paid" or "dismissed"
//   const response = await Tollkeeper.fetch("/api/chat", { method: "POST", body }); // as fetch does
//
// "paid" only says what the page has seen: the credits are there once the next check says so.
(() => {
  "use strict";

  const PAID_SHOWN_MS = 1800;
  const LOADING_MS_MAX = 8000;
  const HEIGHT_FIRST = 480;

  const STYLE = `
    dialog { border: 0; padding: 0; margin: auto; overflow: visible; background: none;
      width: min(28rem, 100vw - 1.5rem); max-width: none; max-height: none; }
    dialog::backdrop { background: rgb(10 12 18 / 55%); }
    .sheet { position: relative; overflow: hidden; border-radius: 16px; background: Canvas;
      box-shadow: 0 24px 64px rgb(0 0 0 / 30%); color-scheme: light dark; }
    iframe { display: block; width: 100%; border: 0; max-height: calc(100vh - 3rem);
      max-height: calc(100dvh - 3rem); color-scheme: light dark; transition: height 0.18s ease; }
    button { position: absolute; top: 10px; inset-inline-end: 10px; width: 36px; height: 36px; padding: 0;
      border: 0; border-radius: 50%; background: none; color: GrayText; cursor: pointer;
      font: 22px/1 system-ui, sans-serif; }
    button:hover { color: CanvasText; }
    button:focus-visible { outline: 2px solid Highlight; outline-offset: 1px; }
    p { margin: 0; padding: 0 2rem 1.5rem; text-align: center; font: 15px/1.5 system-ui, sans-serif; }
    a { color: LinkText; }
    @media (prefers-reduced-motion: no-preference) {
      dialog[open] .sheet { animation: rise 0.22s cubic-bezier(0.2, 0.8, 0.3, 1); }
      dialog[open]::backdrop { animation: fade 0.22s ease; }
    }
    @media (prefers-reduced-motion: reduce) { iframe { transition: none; } }
    @keyframes rise { from { opacity: 0; transform: translateY(12px); } }
    @keyframes fade { from { opacity: 0; } }
  `;

  let showing = null;

  /**
   * Show the upgrade page over this one.
   * @param {string} url the `upgrade_url` of a check or of an upgrade link
   * @returns {Promise<"paid" | "dismissed">} rejects with a TypeError for another address, and with
   *   an Error while one is open already
   */
  async function open(url) {
    const address = upgradeAddress(url);
    if (showing) throw new Error("Tollkeeper.open: an upgrade page is open already");
    showing = showOverlay(address);
    try {
      return await showing;
    } finally {
      showing = null;
    }
  }

  /**
   * `fetch`, with a purchase in between: where the app's server answers a block (402, as the SDK's
   * framework integrations write it), the upgrade page opens, and the same request is sent once
   * more after the purchase. Takes and answers what `fetch` does.
   * @returns {Promise<Response>} the first answer when it is no block or the page was dismissed, and
   *   the second one, whatever it says, after a purchase. Rejects as `fetch` does, and with a
   *   TypeError for a body that is a stream: it is gone once sent, and could not be sent again
   */
  async function fetchAndResume(input, init) {
    if (init?.body instanceof ReadableStream) {
      throw new TypeError("Tollkeeper.fetch: a body that is a stream cannot be sent again");
    }
    // A Request is used up by the first fetch. Anything else can be handed over twice.
    const again = input instanceof Request ? input.clone() : input;
    const response = await fetch(input, init);
    const url = await blockedUrl(response);
    return url && (await outcomeOf(url)) === "paid" ? fetch(again, init) : response;
  }

  /** The `upgrade_url` of an answer that is a block, and whose body stays for the app to read. */
  async function blockedUrl(response) {
    if (response.status !== 402) return null;
    const body = await response.clone().json().catch(() => null);
    return body?.tollkeeper === "blocked" ? body.upgrade_url : null;
  }

  /** Requests that are stopped at the same moment wait for the one purchase. */
  async function outcomeOf(url) {
    try {
      return await (showing ?? open(url));
    } catch (error) {
      console.error(error); // the app still has the 402, and its own way to show it
      return "dismissed";
    }
  }

  function upgradeAddress(url) {
    let address;
    try {
      address = new URL(url);
    } catch {
      throw new TypeError("Tollkeeper.open: not an address");
    }
    const local = ["localhost", "127.0.0.1"].includes(address.hostname);
    const secure = address.protocol === "https:" || (address.protocol === "http:" && local);
    if (!secure || !address.pathname.endsWith("/upgrade") || !address.searchParams.get("t")) {
      throw new TypeError("Tollkeeper.open: not the upgrade_url of a Tollkeeper answer");
    }
    return address;
  }

  function showOverlay(address) {
    const { host, dialog, frame, close, trouble } = build(address);
    const unlock = lockScroll();
    document.body.append(host);
    dialog.showModal();
    close.focus();

    return new Promise((resolve) => {
      let outcome = "dismissed";
      const loading = setTimeout(() => (trouble.hidden = false), LOADING_MS_MAX);

      const finish = () => {
        if (!host.isConnected) return; // closed by hand meanwhile
        clearTimeout(loading);
        window.removeEventListener("message", hear);
        dialog.close(); // and the focus goes back to where it was
        host.remove();
        unlock();
        resolve(outcome);
      };

      const hear = (event) => {
        // Only the page in our own frame, and only while it is still that page.
        if (event.source !== frame.contentWindow || event.origin !== address.origin) return;
        const { type, height, dir } = event.data ?? {};
        if (type === "tollkeeper:ready") {
          clearTimeout(loading);
          trouble.hidden = true;
          dialog.dir = dir === "rtl" ? "rtl" : "ltr";
          if (dialog.contains(host.shadowRoot.activeElement)) frame.focus();
        } else if (type === "tollkeeper:size" && Number.isFinite(height)) {
          frame.style.height = `${Math.min(Math.max(height, 160), 4000)}px`;
        } else if (type === "tollkeeper:paid" && outcome !== "paid") {
          outcome = "paid";
          setTimeout(finish, PAID_SHOWN_MS);
        } else if (type === "tollkeeper:close") {
          finish();
        }
      };

      window.addEventListener("message", hear);
      close.addEventListener("click", finish);
      dialog.addEventListener("click", (event) => event.target === dialog && finish());
      dialog.addEventListener("cancel", (event) => {
        event.preventDefault();
        finish();
      });
    });
  }

  /** The overlay's elements, in a shadow root: the app's styles stay out, ours stay in. */
  function build(address) {
    const host = document.createElement("div");
    const root = host.attachShadow({ mode: "open" });
    const sheet = new CSSStyleSheet(); // not an inline style: a strict CSP of the app allows it
    sheet.replaceSync(STYLE);
    root.adoptedStyleSheets = [sheet];

    const dialog = element("dialog", { role: "dialog", "aria-modal": "true", "aria-label": "Upgrade" });
    const frame = element("iframe", { src: address.href, title: "Upgrade", allow: "payment" });
    frame.style.height = `${HEIGHT_FIRST}px`;
    const close = element("button", { type: "button", "aria-label": "Close" });
    close.textContent = "×";
    const trouble = element("p", { role: "status" });
    trouble.hidden = true;
    const link = element("a", { href: address.href, target: "_blank", rel: "noreferrer" });
    link.textContent = "open it in a new tab";
    trouble.append("This takes longer than it should. You can ", link, ".");

    const content = element("div", { class: "sheet" });
    content.append(frame, trouble, close);
    dialog.append(content);
    root.append(dialog);
    return { host, dialog, frame, close, trouble };
  }

  function element(name, attributes) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  }

  /** Keep the page behind still, without a jump where its scroll bar was. */
  function lockScroll() {
    const { style } = document.documentElement;
    const { overflow, paddingRight } = style;
    const bar = window.innerWidth - document.documentElement.clientWidth;
    style.overflow = "hidden";
    if (bar > 0) style.paddingRight = `${bar}px`;
    return () => Object.assign(style, { overflow, paddingRight });
  }

  globalThis.Tollkeeper = Object.freeze({ open, fetch: fetchAndResume });
})();
