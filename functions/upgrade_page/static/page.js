// The upgrade page's script. What it shows follows the webhook: nothing here grants anything.
const { view, token, origins, lang, now, texts } = document.body.dataset;
const isDone = "done" in document.body.dataset;
const framed = window.parent !== window;
const $ = (id) => document.getElementById(id);

const POLL_FIRST_MS = 1000;
const POLL_MAX_MS = 8000;
const POLL_GROWTH = 1.4;
/** Some banks confirm after days: whoever has paid is not to sit and wait for that. */
const SLOW_MS = 60_000;

document.documentElement.classList.toggle("framed", framed);

// --- Words, in the page's language; times, in the reader's own zone -------------------------------

const TEXTS = JSON.parse(texts);

/** A text of the page's catalogue, with its {names} filled in. */
function say(key, values = {}) {
  return TEXTS[key].replace(/\{(\w+)\}/g, (name, found) => values[found] ?? name);
}

const pageLanguage = document.documentElement.lang;
const speaks = (locale) => locale.split("-")[0] === pageLanguage.split("-")[0];
// "en-GB" writes dates unlike "en-US": the reader's own, where it is the page's language at all.
const locale = navigator.languages.find(speaks) ?? pageLanguage;

const MINUTE_MS = 60_000;
const SOON_MINUTES = 12 * 60;

/** "in 3 hours", "tomorrow at 09:00", "on Mon 30 Nov, 09:00", seen from the server's clock. */
function whenWords(date, from) {
  const relative = new Intl.RelativeTimeFormat(locale, { numeric: "auto" });
  const minutes = Math.ceil((date - from) / MINUTE_MS);
  if (minutes > 0 && minutes < 60) return relative.format(minutes, "minute");
  if (minutes > 0 && minutes < SOON_MINUTES) {
    return relative.format(Math.round(minutes / 60), "hour");
  }
  const midnight = (at) => new Date(at.getFullYear(), at.getMonth(), at.getDate());
  const days = Math.round((midnight(date) - midnight(from)) / (24 * 60 * MINUTE_MS));
  if (days === 0 || days === 1) {
    const time = new Intl.DateTimeFormat(locale, { hour: "2-digit", minute: "2-digit" });
    return say("at_time", { day: relative.format(days, "day"), time: time.format(date) });
  }
  return say("on_date", { date: dateFormat.format(date) });
}

const dateFormat = new Intl.DateTimeFormat(locale, {
  weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit",
});
for (const time of document.querySelectorAll("time")) {
  const date = new Date(time.dateTime);
  time.textContent = whenWords(date, new Date(Number(now)));
  time.title = dateFormat.format(date);
}

// --- The app around us ---------------------------------------------------------------------------

/** The one origin that may hear us: ours by the link, or whoever frames us, if it is allowed to. */
function appOrigin() {
  const allowed = JSON.parse(origins ?? "[]");
  if (allowed.length === 1) return allowed[0];
  const framing = location.ancestorOrigins?.[0] ?? (document.referrer && new URL(document.referrer).origin);
  return allowed.includes(framing) ? framing : null;
}

function tellApp(type, more = {}) {
  const origin = framed ? appOrigin() : null;
  if (origin) window.parent.postMessage({ type: `tollkeeper:${type}`, ...more }, origin);
}

/** Closed with nothing bought, and no payment under way that may yet be one: for the funnel. */
function dismissed() {
  if (view === "canceled" || $("choose")?.hidden === false) {
    navigator.sendBeacon("/upgrade/dismissed", new URLSearchParams({ t: token }));
  }
}

if (framed) {
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !event.defaultPrevented) tellApp("close");
  });
  // "Continue" goes on in the app that is already behind the overlay.
  for (const link of [$("home"), $("leave")].filter(Boolean)) {
    link.hidden = false;
    link.addEventListener("click", (event) => {
      event.preventDefault();
      tellApp("close");
    });
  }
  new ResizeObserver(() => tellApp("size", { height: Math.ceil(document.body.scrollHeight) }))
    .observe(document.body);
} else {
  $("leave")?.addEventListener("click", dismissed);
}

// --- What is on the screen -----------------------------------------------------------------------

function show(id) {
  for (const part of ["choose", "waiting", "paid"]) {
    if ($(part)) $(part).hidden = part !== id;
  }
  $(id).querySelector("h1").focus({ preventScroll: true });
}

function showPaid({ balance, checked }) {
  $("balance").textContent = balance && say("your_balance", { amount: balance });
  $("checked").textContent = checked && say("balance_checked", {
    amount: checked.amount,
    when: whenWords(new Date(checked.until), new Date(Number(now) + performance.now())),
  });
  show("paid");
  $("announcement").textContent = `${say("thanks_title")}. ${$("thanks").textContent}`;
  tellApp("paid");
}

// --- Waiting for the webhook's effect ------------------------------------------------------------

let waiting = null; // the wait under way: what stops it, what makes it look at once

function waitForPayment() {
  waiting?.stop();
  let timer = 0;
  let delay = POLL_FIRST_MS;
  let asking = false;
  const wait = {
    stop() {
      clearTimeout(timer);
      if (waiting === wait) waiting = null;
    },
    async look() {
      if (asking || waiting !== wait) return;
      clearTimeout(timer);
      asking = true;
      const status = await askStatus();
      asking = false;
      if (waiting !== wait) return;
      if (status.state === "paid") {
        wait.stop();
        showPaid(status);
      } else if (status.gone) {
        wait.stop();
        $("hint").textContent = say("gone");
      } else {
        timer = setTimeout(wait.look, delay);
        delay = Math.min(delay * POLL_GROWTH, POLL_MAX_MS);
      }
    },
  };
  waiting = wait;
  timer = setTimeout(wait.look, delay);
}

/** The payer is done; what is left is between the bank, Stripe and us. */
function expectConfirmation() {
  waiting?.look();
  setTimeout(() => {
    if (waiting) $("hint").textContent = say("slow");
  }, SLOW_MS);
}

async function askStatus() {
  try {
    const answer = await fetch(`/upgrade/status?t=${token}&lang=${lang}`, { headers: { Accept: "application/json" } });
    if (answer.ok) return await answer.json();
    return { gone: answer.status === 403 || answer.status === 410 };
  } catch {
    return {}; // no network for a moment: asked again
  }
}

// Whoever comes back to this tab wants to see it now.
for (const event of ["focus", "pageshow"]) window.addEventListener(event, () => waiting?.look());
document.addEventListener("visibilitychange", () => document.hidden || waiting?.look());

// --- Choosing and paying -------------------------------------------------------------------------

let payment = null; // the pop-up with the payment

function openPopUp() {
  // From the click itself, or it is blocked; where it leads is known a moment later.
  const popUp = window.open("about:blank", "_blank", "popup,width=480,height=760");
  if (!popUp || popUp.closed) return null;
  popUp.document.title = say("opening");
  popUp.document.documentElement.style.colorScheme = "light dark";
  popUp.document.body.textContent = say("opening");
  return popUp;
}

// The app's page shows the payment itself: where the owner has set it up, and embed.js can.
let embeds = framed && "embedded" in document.body.dataset
  && new URLSearchParams(location.search).has("pay");

async function startCheckout(form, choice) {
  const fields = new URLSearchParams(new FormData(form, choice));
  if (embeds) fields.set("embedded", "1");
  const answer = await fetch(form.action, {
    method: "POST", body: fields, headers: { Accept: "application/json" },
  });
  if (answer.ok) return answer.json();
  const { code } = await answer.json().catch(() => ({}));
  throw new Error(code);
}

/** What to do about a problem, by its code. */
function advice(code) {
  const key = code === "invalid_request" ? "invalid_choice" : `${code}_advice`;
  return say(key in TEXTS ? key : "checkout_failed_advice");
}

async function choose(event) {
  event.preventDefault();
  const form = event.target;
  const choice = event.submitter;
  if (form.ariaBusy === "true") return;
  form.ariaBusy = "true";
  $("error").hidden = true;
  // In a page of its own the payment takes this very tab: nothing is lost, nothing is blocked.
  payment = framed && !embeds ? openPopUp() : null;
  try {
    const { checkout_url: url, ...embedded } = await startCheckout(form, choice);
    $("thanks").textContent = choice.dataset.thanks;
    if (url) goAndPay(url);
    else payInTheApp(embedded);
  } catch (error) {
    payment?.close();
    $("error").textContent = advice(error.message);
    $("error").hidden = false;
  } finally {
    form.ariaBusy = "false";
  }
}

function goAndPay(url) {
  $("reopen").href = url;
  $("reopen").hidden = !framed;
  show("waiting");
  waitForPayment();
  if (payment) {
    payment.location.replace(url);
    return;
  }
  try {
    window.top.location.href = url; // of another origin, a location only takes this
  } catch {
    // A frame may not navigate what is around it: the button is there to be pressed.
    $("hint").textContent = say("popup_blocked");
    $("reopen").focus();
  }
}

function payInTheApp(embedded) {
  $("reopen").hidden = true;
  show("waiting");
  waitForPayment();
  tellApp("checkout", embedded);
}

function fail(code) {
  chooseAgain();
  $("error").textContent = advice(code);
  $("error").hidden = false;
}

function chooseAgain() {
  waiting?.stop();
  payment?.close();
  payment = null;
  show("choose");
}

for (const form of document.querySelectorAll('form[action="/upgrade/checkout"]')) {
  form.addEventListener("submit", choose);
}
$("back")?.addEventListener("click", chooseAgain);
// Back from the payment by the browser's own button: the page is as it was left.
window.addEventListener("pageshow", (event) => {
  if (event.persisted && !isDone && !framed && !$("waiting").hidden) chooseAgain();
});

// The app around us has closed the overlay, or shown the payment: that only moves the screen.
window.addEventListener("message", (event) => {
  if (event.source !== window.parent || event.origin !== appOrigin()) return;
  if (event.data?.type === "tollkeeper:closed") dismissed();
  if (embeds && event.data?.type === "tollkeeper:completed") expectConfirmation();
  if (embeds && event.data?.type === "tollkeeper:unshown" && waiting) {
    embeds = false; // Stripe's script did not load: the next click opens a pop-up
    fail("checkout_failed");
  }
});

// The pop-up has come back to us. It is of our own origin, and nobody else is heard.
window.addEventListener("message", (event) => {
  if (event.origin !== location.origin || event.source === window.parent) return;
  if (event.data?.type === "tollkeeper:returned") expectConfirmation();
  if (event.data?.type === "tollkeeper:canceled" && waiting) chooseAgain();
});

// --- Coming back from the payment ----------------------------------------------------------------

if (isDone && window.opener) {
  const news = view === "canceled" ? "canceled" : "returned";
  window.opener.postMessage({ type: `tollkeeper:${news}` }, location.origin);
  setTimeout(() => window.close(), view === "canceled" ? 0 : 1200);
}
if (isDone && view === "waiting") {
  waitForPayment();
  expectConfirmation();
}
if (view === "paid") tellApp("paid");
tellApp("ready", { dir: document.documentElement.dir });
