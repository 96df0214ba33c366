// The upgrade page's script. What it shows follows the webhook: nothing here grants anything.
const { view, token, origins } = document.body.dataset;
const isDone = "done" in document.body.dataset;
const framed = window.parent !== window;
const $ = (id) => document.getElementById(id);

const POLL_FIRST_MS = 1000;
const POLL_MAX_MS = 8000;
const POLL_GROWTH = 1.4;
/** Some banks confirm after days: whoever has paid is not to sit and wait for that. */
const SLOW_MS = 60_000;

document.documentElement.classList.toggle("framed", framed);

// --- Times, in the reader's own zone -------------------------------------------------------------

const format = new Intl.DateTimeFormat(undefined, {
  weekday: "short", day: "numeric", month: "short", hour: "numeric", minute: "2-digit",
});
for (const time of document.querySelectorAll("time")) {
  time.textContent = format.format(new Date(time.dateTime));
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

if (framed) {
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !event.defaultPrevented) tellApp("close");
  });
  // "Continue" goes on in the app that is already behind the overlay.
  $("home")?.addEventListener("click", (event) => {
    event.preventDefault();
    tellApp("close");
  });
  new ResizeObserver(() => tellApp("size", { height: Math.ceil(document.body.scrollHeight) }))
    .observe(document.body);
}

// --- What is on the screen -----------------------------------------------------------------------

function show(id) {
  for (const part of ["choose", "waiting", "paid"]) {
    if ($(part)) $(part).hidden = part !== id;
  }
  $(id).querySelector("h1").focus({ preventScroll: true });
}

function showPaid(usage) {
  const balance = (usage?.credits ?? []).map((credit) => credit.display).join(" and ");
  $("balance").textContent = balance && `Your balance is ${balance}.`;
  show("paid");
  $("announcement").textContent = `Thank you. ${$("thanks").textContent}`;
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
        showPaid(status.usage);
      } else if (status.gone) {
        wait.stop();
        $("hint").textContent = "This page has expired. What you bought arrives with your payment.";
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
    if (waiting) $("hint").textContent = SLOW_WORDS;
  }, SLOW_MS);
}

const SLOW_WORDS =
  "Your bank has not confirmed it yet. You can close this page: what you bought arrives by itself.";

async function askStatus() {
  try {
    const answer = await fetch(`/upgrade/status?t=${token}`, { headers: { Accept: "application/json" } });
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
  popUp.document.title = "Opening the payment page…";
  popUp.document.documentElement.style.colorScheme = "light dark";
  popUp.document.body.textContent = "Opening the payment page…";
  return popUp;
}

async function startCheckout(form, choice) {
  const fields = new URLSearchParams(new FormData(form, choice));
  const answer = await fetch(form.action, {
    method: "POST", body: fields, headers: { Accept: "application/json" },
  });
  if (answer.ok) return (await answer.json()).checkout_url;
  const { code } = await answer.json().catch(() => ({}));
  throw new Error(code);
}

const WORDS = {
  link_expired: "This link has expired. Close this page and try again in the app.",
  already_paid: "This purchase is complete. To buy more, close this page and start again in the app.",
  unknown_offer: "This is no longer available. Please choose something else.",
};

async function choose(event) {
  event.preventDefault();
  const form = event.target;
  const choice = event.submitter;
  if (form.ariaBusy === "true") return;
  form.ariaBusy = "true";
  $("error").hidden = true;
  // In a page of its own the payment takes this very tab: nothing is lost, nothing is blocked.
  payment = framed ? openPopUp() : null;
  try {
    const url = await startCheckout(form, choice);
    $("thanks").textContent = choice.dataset.thanks;
    goAndPay(url);
  } catch (error) {
    payment?.close();
    $("error").textContent =
      WORDS[error.message] ?? "The payment page did not open. Nothing was charged. Please try again.";
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
    $("hint").textContent = "Your browser blocked the payment page. Open it here:";
    $("reopen").focus();
  }
}

function chooseAgain() {
  waiting?.stop();
  payment?.close();
  payment = null;
  show("choose");
}

$("choose")?.querySelector("form").addEventListener("submit", choose);
$("back")?.addEventListener("click", chooseAgain);
// Back from the payment by the browser's own button: the page is as it was left.
window.addEventListener("pageshow", (event) => {
  if (event.persisted && !isDone && !framed && !$("waiting").hidden) chooseAgain();
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
tellApp("ready");
