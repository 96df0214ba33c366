// The chat: one conversation for each user, kept in this page and nowhere else.

import { Blocked, chat, getJson, postJson } from "./api.js";
import { element, markdown } from "./markdown.js";
import { loadUpgrades, openUpgrade, warn } from "./upgrade.js";
import { followUsage, showUsage, until } from "./usage.js";

const $ = (selector) => document.querySelector(selector);
const [user, tier, model] = [$("#user"), $("#tier"), $("#model")];
const [box, send, buy, log, notice] = [$("#message"), $("#send"), $("#buy"), $("#messages"), $("#notice")];

const conversations = new Map();
let running = null;

const who = () => ({ user: user.value.trim(), tier: tier.value });
const conversation = (name) => conversations.get(name) ?? conversations.set(name, []).get(name);

async function start() {
  const config = await getJson("/api/config");
  const option = (value, label) => Object.assign(element("option", label ?? value), { value });
  $("#users").append(...config.users.map((name) => option(name)));
  tier.append(...config.tiers.map((name) => option(name, name[0].toUpperCase() + name.slice(1))));
  model.append(...config.models.map(({ name, label }) => option(name, label)));
  model.value = config.default_model;
  user.value = config.users[0];
  loadUpgrades(config.embed_script);
  showConversation();
}

function showConversation() {
  running?.abort();
  say("");
  log.replaceChildren(...conversation(who().user).map(({ role, content }) => bubble(role, content)));
  updateWelcome();
  if (who().user) followUsage(who().user);
  update();
}

// Asks, shows the answer as it comes, and on a block sells first and asks the same again.
async function ask(text, { again = false } = {}) {
  const { user: name, tier: level } = who();
  const history = conversation(name);
  const question = bubble("user", text, "waiting");
  const answer = bubble("assistant", "", "waiting");
  log.append(question, answer);
  updateWelcome();
  if (!again) say("");
  scroll();
  const abort = (running = new AbortController());
  update();

  const messages = [...history, { role: "user", content: text }];
  let said = "";
  let outcome = "stopped";
  let blocked = null;
  try {
    for await (const [kind, data] of chat({ user: name, tier: level, model: model.value, messages }, abort.signal)) {
      if (question.classList.contains("waiting")) accept(question, text);
      if (kind === "warnings") warn(data, upgradeLink);
      else if (kind === "text") show(answer, (said += data));
      else outcome = kind;
    }
  } catch (error) {
    if (error instanceof Blocked) blocked = error;
    else if (error.name !== "AbortError") outcome = error.message;
  }
  if (running === abort) running = null;
  answer.classList.remove("waiting");
  if (said) history.push({ role: "user", content: text }, { role: "assistant", content: said });

  if (name !== who().user) return;
  if (outcome === "done") announce(said);
  else if (said) answer.append(mark(outcome === "stopped" ? "Stopped" : "The answer broke off here."));
  else giveBack(question, answer, text);
  if (!said && !blocked && outcome !== "stopped") {
    say(outcome === "failed" ? "The model did not answer. Nothing was charged." : outcome, true);
  }
  update();
  followUsage(name);
  if (blocked) await sell(blocked, text, again);
}

async function sell(blocked, text, again) {
  showUsage(blocked.usage);
  const resets = blocked.resets_at ? ` Your limit starts over ${until(blocked.resets_at)}.` : "";
  say(blocked.upgrade_message + resets, false, openLink(blocked.upgrade_url));
  // Paid and blocked once more means that what was bought does not reach: no third round by itself.
  if (again) return;
  const name = who().user;
  const result = await openUpgrade(blocked.upgrade_url);
  if (result === "paid" && who().user === name) {
    say("Thank you! Your message was sent again.");
    await ask(text, { again: true });
  } else {
    box.focus();
  }
}

const upgradeLink = async () => (await postJson("/api/upgrade-link", who())).upgrade_url;

async function buyCredits() {
  buy.disabled = true;
  try {
    const url = await upgradeLink();
    const result = await openUpgrade(url);
    if (result === "paid") say("Thank you! Your credits are here.");
    if (result === "unavailable") say("The upgrade page opens in a tab of its own.", false, openLink(url));
  } catch (error) {
    say(error.message, true);
  }
  followUsage(who().user);
  update();
}

function accept(question, text) {
  question.classList.remove("waiting");
  if (box.value.trim() === text) box.value = "";
  resize();
}

function giveBack(question, answer, text) {
  question.remove();
  answer.remove();
  if (!box.value.trim()) box.value = text;
  resize();
  updateWelcome();
}

function bubble(role, content, state = "") {
  const node = element("div", role === "user" ? content : markdown(content));
  node.className = `message ${role} ${state}`.trim();
  return node;
}

function show(node, text) {
  const stick = atBottom();
  node.classList.remove("waiting");
  node.replaceChildren(markdown(text));
  if (stick) scroll();
}

function mark(text) {
  return Object.assign(element("p", text), { className: "stopped" });
}

function say(text, problem = false, link = null) {
  notice.replaceChildren(text, ...(link ? [" ", link] : []));
  notice.classList.toggle("problem", problem);
  notice.hidden = !text;
}

function openLink(url) {
  return Object.assign(element("a", "See the options"), { href: url, target: "_blank", rel: "noopener" });
}

// The answer word by word would be noise to a screen reader: it hears the whole, once.
function announce(text) {
  $("#spoken").textContent = text;
}

function update() {
  const named = who().user !== "";
  send.classList.toggle("stop", running !== null);
  send.setAttribute("aria-label", running ? "Stop" : "Send");
  send.disabled = !running && (!named || !box.value.trim());
  buy.disabled = !named;
  log.setAttribute("aria-busy", String(running !== null));
}

function updateWelcome() {
  $(".welcome").hidden = log.children.length > 0;
}

function resize() {
  box.style.setProperty("height", "auto");
  box.style.setProperty("height", `${box.scrollHeight}px`);
  update();
}

const page = document.scrollingElement;
const atBottom = () => page.scrollHeight - page.scrollTop - page.clientHeight < 80;
const scroll = () => page.scrollTo({ top: page.scrollHeight });

function submit() {
  const text = box.value.trim();
  if (text && who().user && !running) ask(text);
}

$("#composer").addEventListener("submit", (event) => {
  event.preventDefault();
  if (running) running.abort();
  else submit();
});
box.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  submit();
});
box.addEventListener("input", resize);
user.addEventListener("change", showConversation);
user.addEventListener("focus", () => user.select());
buy.addEventListener("click", buyCredits);
$(".ideas").addEventListener("click", (event) => {
  const idea = event.target.closest("button");
  if (!idea || running) return;
  box.value = idea.textContent;
  submit();
});

start();
