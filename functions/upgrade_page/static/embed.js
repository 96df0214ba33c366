// Tollkeeper's overlay: <script src="https://<your upgrade page>/embed.js"></script>
//
// open, fetch and warn; embed.mjs is the same as a module. See docs/overlay.md.
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
    .pay { box-sizing: border-box; max-height: calc(100dvh - 3rem); overflow: auto; padding-top: 3.25rem; }
    .sheet:has(.pay:not([hidden])) { color-scheme: light; } /* as Stripe's form is */
    [hidden] { display: none !important; }
    button { position: absolute; top: 10px; inset-inline-end: 10px; width: 36px; height: 36px; padding: 0;
      border: 0; border-radius: 50%; background: none; color: GrayText; cursor: pointer;
      font: 22px/1 system-ui, sans-serif; }
    button:hover { color: CanvasText; }
    button:focus-visible { outline: 2px solid Highlight; outline-offset: 1px; }
    .banner { position: fixed; inset-inline: 0.75rem; bottom: max(0.75rem, env(safe-area-inset-bottom));
      z-index: 2147483000; width: fit-content; max-width: calc(100vw - 1.5rem); margin: auto;
      padding: 0.375rem 3rem 0.375rem 1rem; padding-inline: 1rem 3rem; box-sizing: border-box;
      border-radius: 12px; color-scheme: light dark; background: Canvas; color: CanvasText;
      box-shadow: 0 8px 32px rgb(0 0 0 / 25%); border: 1px solid color-mix(in srgb, CanvasText 15%, Canvas);
      font: 15px/1.4 system-ui, sans-serif; display: flex; flex-wrap: wrap; align-items: center; gap: 0 0.75rem; }
    .banner button { top: 7px; inset-inline-end: 5px; }
    .banner .more { position: static; width: auto; height: 36px; padding: 0; color: LinkText;
      font: 600 15px/1 system-ui, sans-serif; border-radius: 6px; }
    .banner .more:hover { color: LinkText; text-decoration: underline; }
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

  // Upgrade; close; slow; open in a tab; warning; its button; and the limits' names.
  const WORDS = {
    en: ["Upgrade", "Close", "This takes longer than it should.", "Open it in a new tab",
      "You have used {p}% of your {w} limit.", "Top up", "daily", "weekly", "monthly"],
    de: ["Upgrade", "Schließen", "Das dauert länger als üblich.", "In neuem Tab öffnen",
      "Du hast {p} % deines {w} verbraucht.", "Aufladen", "Tageslimits", "Wochenlimits", "Monatslimits"],
    es: ["Mejorar el plan", "Cerrar", "Esto tarda más de lo normal.", "Abrir en una pestaña nueva",
      "Has usado el {p} % de tu límite {w}.", "Recargar", "diario", "semanal", "mensual"],
    fr: ["Changer d’offre", "Fermer", "Cela prend plus de temps que prévu.", "Ouvrir dans un nouvel onglet",
      "Vous avez utilisé {p} % de votre limite {w}.", "Recharger", "quotidienne", "hebdomadaire", "mensuelle"],
    pt: ["Melhorar o plano", "Fechar", "Isto está demorando mais que o normal.", "Abrir em nova aba",
      "Você usou {p}% do seu limite {w}.", "Recarregar", "diário", "semanal", "mensal"],
    ja: ["アップグレード", "閉じる", "通常より時間がかかっています。", "新しいタブで開く",
      "{w}の上限の{p}%を使用しました。", "チャージ", "1日", "1週間", "1か月"],
  };

  /** The first language that is asked for and there, by number in WORDS. */
  function wordsFor(lang) {
    const known = [lang ?? "", ...navigator.languages].map((name) => name.split("-")[0].toLowerCase());
    return WORDS[known.find((name) => Object.hasOwn(WORDS, name)) ?? "en"];
  }

  let showing = null;

  /**
   * Show the upgrade page over this one.
   * @param {string} url the `upgrade_url` of a check or of an upgrade link
   * @param {{lang?: string}} [options] the language, such as "de"; the browser's where there is none
   * @returns {Promise<"paid" | "dismissed">} rejects with a TypeError for another address, and with
   *   an Error while one is open already
   */
  async function open(url, { lang } = {}) {
    const address = upgradeAddress(url);
    if (showing) throw new Error("Tollkeeper.open: an upgrade page is open already");
    if (lang) address.searchParams.set("lang", lang);
    // Where a payment has to take the whole tab, it leads back to this very place.
    const { pathname, search, hash } = location;
    address.searchParams.set("back", pathname + search + hash);
    address.searchParams.set("pay", "here");
    showing = showOverlay(address, wordsFor(lang));
    try {
      return await showing;
    } finally {
      showing = null;
    }
  }

  /**
   * `fetch`, with a purchase in between: where the app's server answers a block (402, as the SDK
   * writes it), the upgrade page opens, and the same request is sent once more after the purchase.
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

  function showOverlay(address, words) {
    const { host, dialog, frame, close, trouble, pay } = build(address, words);
    const unlock = lockScroll();
    document.body.append(host);
    dialog.showModal();
    close.focus();

    return new Promise((resolve) => {
      let outcome = "dismissed";
      const post = (type) =>
        frame.contentWindow.postMessage({ type: `tollkeeper:${type}` }, address.origin);
      const loading = setTimeout(() => (trouble.hidden = false), LOADING_MS_MAX);

      const finish = () => dialog.close(); // and the focus goes back to where it was

      // In place of the frame, never inside it: Stripe's form, by a module that is loaded for it.
      let endPayment = () => {};
      const showPayment = async (checkout) => {
        const tell = (type) => {
          pay.hidden = !(frame.hidden = false);
          post(type);
          frame.focus();
        };
        try {
          const { mount } = await import(`${address.origin}/checkout.mjs`);
          pay.hidden = !(frame.hidden = true);
          endPayment = await mount(checkout, host, () => tell("completed"));
          if (!dialog.open) endPayment(); // closed meanwhile
        } catch (error) {
          console.error(error);
          tell("unshown");
        }
      };

      const hear = (event) => {
        // Only the page in our own frame, and only while it is still that page.
        if (event.source !== frame.contentWindow || event.origin !== address.origin) return;
        const { type, height, dir, ...more } = event.data ?? {};
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
        } else if (type === "tollkeeper:checkout") {
          showPayment(more);
        } else if (type === "tollkeeper:close") {
          finish();
        }
      };

      window.addEventListener("message", hear);
      close.addEventListener("click", finish);
      dialog.addEventListener("click", (event) => event.target === dialog && finish());
      dialog.addEventListener("close", () => {
        clearTimeout(loading);
        window.removeEventListener("message", hear);
        endPayment();
        post("closed");
        setTimeout(() => host.remove(), 1000); // once the page has heard it
        unlock();
        resolve(outcome);
      });
    });
  }

  /** The overlay's elements. */
  function build(address, [upgrade, shut, slow, inATab]) {
    const { host, root } = island();
    const dialog = element("dialog", { role: "dialog", "aria-modal": "true", "aria-label": upgrade });
    const frame = element("iframe", { src: address.href, title: upgrade, allow: "payment" });
    frame.style.height = `${HEIGHT_FIRST}px`;
    const close = closeButton(shut);
    const trouble = element("p", { role: "status" });
    trouble.hidden = true;
    const link = element("a", { href: address.href, target: "_blank", rel: "noreferrer" });
    link.textContent = inATab;
    trouble.append(`${slow} `, link);

    const content = element("div", { class: "sheet" });
    const pay = element("div", { class: "pay" });
    pay.append(document.createElement("slot")); // Stripe's script looks for its place outside a shadow
    pay.hidden = true;
    content.append(frame, pay, trouble, close);
    dialog.append(content);
    root.append(dialog);
    return { host, dialog, frame, close, trouble, pay };
  }

  /** A shadow root: the app's styles stay out, ours stay in. */
  function island() {
    const host = document.createElement("div");
    const root = host.attachShadow({ mode: "open" });
    const sheet = new CSSStyleSheet(); // not an inline style: a strict CSP of the app allows it
    sheet.replaceSync(STYLE);
    root.adoptedStyleSheets = [sheet];
    return { host, root };
  }

  function closeButton(label) {
    const close = element("button", { type: "button", "aria-label": label });
    close.textContent = "×";
    return close;
  }

  /**
   * A small banner where a limit is near: each threshold of a window once a period.
   * @param {Array<{window: string, percent: number, threshold: number, resets_at: string}>} warnings
   *   those of a check
   * @param {string | (() => string | Promise<string>)} upgradeUrl for "Top up", or what asks for it
   * @param {{lang?: string}} [options]
   * @returns {boolean} whether there was anything new to say
   */
  function warn(warnings, upgradeUrl, { lang } = {}) {
    const fresh = (warnings ?? []).filter((one) => one.code === "limit_near" && isNew(one));
    const most = fresh.sort((one, other) => other.percent - one.percent)[0];
    if (!most || showing) return false;
    fresh.forEach(remember);
    const words = wordsFor(lang);
    const { host, root } = island();
    const banner = element("div", { class: "banner", role: "status" });
    const text = element("span", {});
    const more = element("button", { type: "button", class: "more" });
    more.textContent = words[5];
    more.addEventListener("click", async () => {
      host.remove();
      try {
        await open(typeof upgradeUrl === "function" ? await upgradeUrl() : upgradeUrl, { lang });
      } catch (error) {
        console.error(error);
      }
    });
    const close = closeButton(words[1]);
    close.addEventListener("click", () => host.remove());
    banner.append(text, more, close);
    root.append(banner);
    warning?.remove();
    warning = host;
    document.body.append(host);
    // After the region is there, or a screen reader has nothing to announce.
    const limit = words[6 + ["daily", "weekly", "monthly"].indexOf(most.window)];
    requestAnimationFrame(() => {
      text.textContent = words[4].replace("{p}", most.percent).replace("{w}", limit);
    });
    return true;
  }

  let warning = null;
  const said = {}; // where the browser keeps nothing, at least once a page

  const keyOf = ({ window }) => `tollkeeper:${window}`;

  /** Less used than the last time in this period: then the limit is a larger one, and not told of. */
  function isNew(one) {
    let last = said[one.window];
    try {
      last = JSON.parse(localStorage.getItem(keyOf(one))) ?? last;
    } catch {} // private mode
    const [over, threshold, percent] = last ?? [];
    return over !== one.resets_at || one.threshold > threshold || one.percent < percent;
  }

  function remember(one) {
    said[one.window] = [one.resets_at, one.threshold, one.percent];
    try {
      localStorage.setItem(keyOf(one), JSON.stringify(said[one.window]));
    } catch {} // private mode
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

  globalThis.Tollkeeper = Object.freeze({ open, fetch: fetchAndResume, warn });
})();
