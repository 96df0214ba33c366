// The strip that shows how much of each limit is used, when it starts over, and the credits.

import { getJson } from "./api.js";
import { element } from "./markdown.js";

const LABELS = { daily: "Today", weekly: "This week", monthly: "This month" };
const NEAR_PERCENT = 80;
// Usage is settled a moment after the answer: look again until it will have been.
const FOLLOW_UPS_MS = [0, 700, 2000, 5000];

const windows = document.querySelector("#usage .windows");
const balance = document.querySelector("#balance");
let timers = [];

export function showUsage(usage) {
  windows.replaceChildren(...Object.entries(usage.windows).map(windowNode));
  const held = usage.credits.filter((credit) => credit.balance_minor !== 0);
  balance.textContent = held.map((credit) => credit.display).join(" + ") || "None";
}

export function followUsage(user) {
  timers.forEach(clearTimeout);
  timers = FOLLOW_UPS_MS.map((delay) => setTimeout(() => loadUsage(user), delay));
}

async function loadUsage(user) {
  const mine = timers;
  try {
    const usage = await getJson(`/api/usage?user=${encodeURIComponent(user)}`);
    if (mine === timers) showUsage(usage);
  } catch {
    // The strip keeps what it showed: the chat goes on when the numbers cannot be had.
  }
}

function windowNode([name, { percent, resets_at: resetsAt }]) {
  const label = LABELS[name] ?? name;
  const line = element("div", element("span", label), element("span", `${percent}%`));
  line.className = "line";
  line.lastChild.className = "percent";
  const meter = element("div", element("i"));
  meter.className = "meter";
  meter.setAttribute("role", "meter");
  meter.setAttribute("aria-label", label);
  meter.setAttribute("aria-valuemin", "0");
  meter.setAttribute("aria-valuemax", "100");
  meter.setAttribute("aria-valuenow", String(Math.min(percent, 100)));
  meter.firstChild.style.setProperty("--part", `${Math.min(percent, 100)}%`);
  const resets = element("div", `resets ${until(resetsAt)}`);
  resets.className = "resets";
  resets.title = new Date(resetsAt).toLocaleString();
  const node = element("li", line, meter, resets);
  node.className = `window${percent >= 100 ? " full" : percent >= NEAR_PERCENT ? " near" : ""}`;
  node.dataset.window = name;
  node.dataset.percent = String(percent);
  return node;
}

export function until(time) {
  const minutes = Math.max(1, Math.round((new Date(time) - Date.now()) / 60000));
  const format = new Intl.RelativeTimeFormat("en", { numeric: "always" });
  if (minutes < 90) return format.format(minutes, "minute");
  if (minutes < 36 * 60) return format.format(Math.round(minutes / 60), "hour");
  return format.format(Math.round(minutes / 1440), "day");
}
