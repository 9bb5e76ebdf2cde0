// Upgrades the chat page: the answer comes as it is made. Without this file the page's forms work as they are.
// Whatever the stream tells is put into text nodes, never read as markup; a turn that is over is shown anew by the server.
import { here } from "./here.js";

const CONVERSATION = "/api/agent-sessions/conversation";
const WAITS_MS = [300, 600, 1200, 2400, 4800, 8000];
const CANCEL_WAIT_MS = 1500;
const ENDS = { "turn.completed": "✓ completed", "turn.failed": "✕ error", "turn.cancelled": "⊘ cancelled" };

const element = (id) => document.getElementById(id);
const made = (id) => element(id).content.firstElementChild.cloneNode(true);
const chat = element("chat");
const talk = element("talk");
const entry = () => element("message");
let live = null;

// -- figures, written as the server writes them --------------------------------------------------------------------

function money(nanos) {
  const dollars = nanos / 1e9;
  if (nanos === 0) return "$0";
  if (dollars >= 1) return "$" + dollars.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
  return dollars >= 0.0001 ? "$" + dollars.toFixed(4) : "<$0.0001";
}

function cost({ nanos, calls, unpriced }) {
  return !calls ? "–" : unpriced === calls ? "no price" : money(nanos);
}

function excluded({ calls, unpriced }) {
  return unpriced && unpriced < calls ? ` (excludes ${unpriced} call${unpriced === 1 ? "" : "s"} without a price)` : "";
}

function duration(ms) {
  if (ms === null) return "–";
  return ms < 1000 ? `${ms} ms` : ms < 10000 ? `${(ms / 1000).toFixed(2)} s` : `${(ms / 1000).toFixed(1)} s`;
}

const sumsOf = (node) => ({
  nanos: Number(node?.dataset.nanos ?? 0), calls: Number(node?.dataset.calls ?? 0), unpriced: Number(node?.dataset.unpriced ?? 0),
});

function showSums() {
  live.section.querySelector(".sum").textContent = cost(live.sums);
  live.section.querySelector(".excluded").textContent = excluded(live.sums);
  const whole = {};
  for (const name of ["nanos", "calls", "unpriced"]) whole[name] = live.before[name] + live.sums[name];
  if (element("cost")) element("cost").textContent = cost(whole);
  if (element("excluded")) element("excluded").textContent = excluded(whole);
}

// -- what is told to screen readers: politely, and at most once a second -------------------------------------------

let untold = "", toldAt = 0, telling = 0;

function tell(text) {
  untold += text;
  telling ||= setTimeout(() => {
    element("told").textContent = untold;
    [untold, toldAt, telling] = ["", performance.now(), 0];
  }, Math.max(0, toldAt + 1000 - performance.now()));
}

// -- a turn on the page ----------------------------------------------------------------------------------------------

// Changes the page; whoever was at its end stays there.
function grow(change) {
  const atEnd = innerHeight + scrollY >= document.documentElement.scrollHeight - 90;
  const result = change();
  if (atEnd) scrollTo({ top: document.documentElement.scrollHeight, behavior: "instant" });
  return result;
}

function newLive(section, fields) {
  const sums = { nanos: 0, calls: 0, unpriced: 0 };
  return {
    section, sums, before: sumsOf(element("cost")), text: null, said: "", tools: new Map(), number: 0, seen: "",
    turn: null, isStopped: false, isOver: false, controller: new AbortController(), ...fields,
  };
}

function status(text, look) {
  const found = live.section.querySelector(".status");
  [found.textContent, found.className] = [text, `status ${look}`];
}

function nextNumber() {
  const last = [...talk.querySelectorAll(".turn[id]")].pop();
  return last ? Number(last.id.replace("turn-", "")) + 1 : 1;
}

function addAnswer(text) {
  if (!live.text) {
    const answer = made("new-answer");
    live.text = answer.querySelector(".text").appendChild(document.createTextNode(""));
    live.section.append(answer);
  }
  live.text.appendData(text);
  live.said += text;
  tell(text);
}

function gist(given) {
  let found = given ?? "";
  try {
    const fields = Object.values(JSON.parse(found));
    found = fields.find((value) => typeof value === "string") ?? "";
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof TypeError)) throw error;
  }
  return found.replace(/\s+/g, " ").slice(0, 100);
}

function addTool({ call_ref: ref, tool_name: name, arguments: given }) {
  const tool = made("new-tool");
  tool.querySelector("strong").textContent = name;
  tool.querySelector("code").textContent = gist(given);
  tool.querySelector(".arguments").textContent = given ?? "–";
  live.tools.set(ref, tool);
  live.text = null;
  live.section.append(tool);
  tell(` Tool ${name} is running. `);
}

function endTool({ call_ref: ref, tool_name: name, duration_ms: ms, status: ended, result }) {
  const tool = live.tools.get(ref);
  if (!tool) return;
  const failed = ended === "error";
  const state = tool.querySelector(".state");
  [state.textContent, state.className] = failed ? ["✕", "state bad"] : ["✓", "state ok"];
  tool.classList.toggle("failed", failed);
  tool.querySelector(".much").textContent = duration(ms);
  tool.querySelector(".result").textContent = result ?? "–";
  tell(` Tool ${name} ${failed ? "failed" : "is done"}. `);
}

function addCall({ cost_usd: dollars }) {
  live.sums.calls += 1;
  if (dollars === null) live.sums.unpriced += 1;
  else live.sums.nanos += Math.round(dollars * 1e9);
  showSums();
}

function addProblem(title, detail, note, retry) {
  const box = made("new-problem");
  box.querySelector("strong").textContent = title;
  box.querySelector("span").textContent = detail;
  box.querySelector(".note").textContent = note;
  const again = made("new-retry");
  again.querySelector("button").addEventListener("click", () => {
    box.remove();
    again.remove();
    entry()?.focus();
    retry();
  });
  live.section.append(box, again);
  tell(` ${title}: ${detail} `);
}

// -- the stream ------------------------------------------------------------------------------------------------------

async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const event = {};
      for (const line of block.split("\n")) {
        const end = line.indexOf(": ");
        if (end > 0) event[line.slice(0, end)] = line.slice(end + 2);
      }
      if (event.event) yield event;
    }
  }
}

function ask() {
  const headers = { Accept: "text/event-stream" };
  const signal = live.controller.signal;
  if (live.seen) headers["Last-Event-ID"] = live.seen;
  if (live.turn) return fetch(here(`${CONVERSATION}/${live.turn}`), { headers, signal });
  Object.assign(headers, { "Content-Type": "application/json", "Idempotency-Key": live.key });
  return fetch(here(CONVERSATION), { method: "POST", headers, signal, body: JSON.stringify(live.body) });
}

// Returns how many new events came before the connection was lost; whatever came twice is left out.
async function readOnce() {
  let fresh = 0;
  try {
    const answer = await ask();
    if (!answer.ok && answer.status !== 503) {
      await refused(await problemOf(answer));
      return 0;
    }
    if (!answer.ok) return 0;
    for await (const { id, event, data } of events(answer.body)) {
      if (id) {
        const number = Number(id.split(":").pop());
        if (number <= live.number) continue;
        [live.number, live.seen] = [number, id];
        fresh += 1;
      }
      await take(event, JSON.parse(data));
      if (live.isOver) break;
    }
  } catch (error) {
    // A lost connection is a TypeError at first and while reading; anything else is a mistake of ours.
    if (!(error instanceof TypeError) && error.name !== "AbortError") throw error;
  }
  return fresh;
}

async function problemOf(answer) {
  const kind = answer.headers.get("Content-Type") ?? "";
  if (kind.includes("json")) return answer.json();
  return { title: answer.statusText, detail: "The server gave no reason.", status: answer.status, instance: "" };
}

async function follow() {
  busy(true);
  for (let tries = 0; !live.isOver; tries += 1) {
    if (await readOnce()) tries = 0;
    if (live.isOver) break;
    if (live.controller.signal.aborted) return withdrawn();
    if (tries >= WAITS_MS.length) return lost();
    status("◔ connection lost, trying again", "warn");
    if (!tries) tell(" The connection was lost; trying again. ");
    await pause(WAITS_MS[tries]);
    status("◔ running", "going");
  }
  live = null;
  busy(false);
}

// Waits, but no longer than until the network is back.
function pause(ms) {
  return new Promise((done) => {
    const timer = setTimeout(over, ms);
    function over() {
      clearTimeout(timer);
      removeEventListener("online", over);
      done();
    }
    addEventListener("online", over);
  });
}

async function take(event, said) {
  if (event === "turn.started") await begun(said);
  else if (event === "message.delta") grow(() => addAnswer(said.text));
  else if (event === "tool.started") grow(() => addTool(said));
  else if (event === "tool.finished") grow(() => endTool(said));
  else if (event === "llm.call") addCall(said);
  else if (event === "problem") await refused(said);
  else if (event in ENDS) await ended(event, said);
}

async function begun({ turn_id: turn, session_uuid: session, run_id: run }) {
  const isFirst = !live.turn;
  live.turn = turn;
  if (isFirst) sessionStorage.removeItem(draftName());
  const link = live.section.querySelector(".run");
  link.querySelector("a").href = `/r/${encodeURIComponent(run)}`;
  link.hidden = false;
  if (chat.dataset.session !== session) await moveTo(session);
  if (isFirst && live.isStopped) await cancel();
}

// The page of a new conversation becomes that conversation's page.
async function moveTo(session) {
  chat.dataset.session = session;
  history.replaceState(null, "", here(`/chat/${session}`));
  element("say").action = here(`/chat/${session}`);
  document.querySelector(".agent-of")?.remove();
  live.before = { nanos: 0, calls: 0, unpriced: 0 };
  foldOnPhones();
  await refresh(["chats", "about"]);
  showSums();
}

async function ended(event, said) {
  live.isOver = true;
  const unfinished = event === "turn.completed" ? "" : live.said;
  status(ENDS[event], event === "turn.completed" ? "ok" : event === "turn.failed" ? "bad" : "muted");
  if (said.usage) {
    live.sums = { nanos: said.usage.cost_nanos, calls: said.usage.calls, unpriced: said.usage.unpriced_calls };
    showSums();
  }
  tell(event === "turn.completed" ? ` Answered; cost ${cost(live.sums)}. ` : ` ${ENDS[event]}: ${said.detail}. `);
  const isShown = await refresh(["chats", "about", "talk"]);
  if (isShown && unfinished) keepUnfinished(unfinished);
  if (!isShown && event !== "turn.completed") {
    const text = live.asked;
    addProblem(said.type, said.detail, "", () => send(text));
  }
}

// A text without its Markdown, so that it can be found where it was formatted.
const letters = (text) => text.replace(/\]\([^)]*\)/g, "").replace(/[^\p{L}\p{N}]+/gu, "");

// What was answered before a turn broke off is no message of the record; whoever read it may go on reading it.
function keepUnfinished(text) {
  const turn = [...talk.querySelectorAll(".turn")].pop();
  if (!turn || letters(turn.textContent).includes(letters(text))) return;
  const answer = made("new-answer");
  answer.querySelector("strong").textContent = "unfinished answer, not kept";
  answer.querySelector(".text").textContent = text;
  turn.insertBefore(answer, turn.querySelector(":scope > .banner"));
}

async function refused({ title = "The request failed", detail = "", status: code, instance }) {
  live.isOver = true;
  const { section, asked } = live;
  status("✕ not answered", "bad");
  grow(() => addProblem(title, detail, [code, instance].filter(Boolean).join(" · "), () => {
    section.remove();
    send(asked);
  }));
  sessionStorage.setItem(draftName(), asked);
  if (chat.dataset.session) await refresh(["chats", "about"]);
}

function lost() {
  status("✕ connection lost", "bad");
  const waiting = live;
  grow(() => addProblem("The server cannot be reached", "What it answers meanwhile is kept.", "", () => {
    live = waiting;
    follow();
  }));
  element("stop").hidden = true;
}

// Stopped before the server took it up: what the record has of it, if anything, is what the server shows.
async function withdrawn() {
  const { section, asked } = live;
  section.remove();
  if (entry() && !entry().value) entry().value = asked;
  live = null;
  if (chat.dataset.session) await refresh(["chats", "about", "talk"]);
  tell(" Stopped before it began. ");
  busy(false);
}

// -- the server's own view -------------------------------------------------------------------------------------------

// Takes parts of the page anew from the server, which escapes all that people and models wrote.
async function refresh(parts) {
  const kept = new URLSearchParams();
  for (const [name, value] of new URLSearchParams(location.search)) if (name === "q" || name === "show") kept.set(name, value);
  let answer;
  try {
    answer = await fetch(here(`/chat/${chat.dataset.session}?${kept}`));
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return false;
  }
  if (!answer.ok) return false;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  grow(() => {
    const had = talk.contains(document.activeElement) && parts.includes("talk");
    const open = [...chat.querySelectorAll("details[open][id]")].map((node) => node.id);
    const openTools = live ? [...live.section.querySelectorAll(".use")].map((node) => node.open) : [];
    const listed = document.querySelector("#chats details").open;
    for (const id of parts) element(id).replaceChildren(...page.getElementById(id).childNodes);
    document.querySelector("#chats details").open = listed;
    document.title = page.title;
    for (const id of open) if (element(id)) element(id).open = true;
    const last = [...talk.querySelectorAll(".turn")].pop();
    if (parts.includes("talk")) last?.querySelectorAll(".use").forEach((node, n) => { node.open ||= openTools[n] ?? false; });
    if (element("say").className !== page.getElementById("say").className) {
      element("composer").replaceChildren(...page.getElementById("composer").childNodes);
    }
    if (had) entry()?.focus({ preventScroll: true });
  });
  return true;
}

// -- what people do ---------------------------------------------------------------------------------------------------

function busy(is) {
  const [send, stopping] = [element("send"), element("stop")];
  if (!send) return;
  const had = document.activeElement;
  [send.hidden, stopping.hidden] = [is, !is];
  if (had === send || had === stopping || had === document.body) entry().focus({ preventScroll: true });
}

function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

const draftName = () => `draft-${chat.dataset.session}`;

function bodyOf(text) {
  const body = { messages: [{ role: "user", content: text }] };
  if (chat.dataset.session) return { ...body, session_id: chat.dataset.session };
  const line = text.trim().replace(/\s+/g, " ");
  body.session_name = line.length > 60 ? line.slice(0, 59) + "…" : line;
  const [agent, instructions] = [element("agent"), element("instructions")].map((field) => field?.value.trim());
  if (agent) body.agent_name = agent;
  if (instructions) body.agent_instructions = instructions;
  return body;
}

async function send(text) {
  if (live) return;
  const section = made("new-turn");
  section.querySelector("h2").textContent = `Turn ${nextNumber()}`;
  section.querySelector(".text").textContent = text;
  for (const old of talk.querySelectorAll("#start, .none, .retry")) old.remove();
  live = newLive(section, { asked: text, key: newKey(), body: bodyOf(text) });
  talk.append(section);
  scrollTo({ top: document.documentElement.scrollHeight, behavior: "instant" });
  await follow();
}

function foldOnPhones() {
  if (matchMedia("(max-width: 900px)").matches) document.querySelector("#chats details").open = false;
}

async function stop() {
  if (!live || live.isStopped) return;
  live.isStopped = true;
  status("◔ stopping", "warn");
  if (live.turn) await cancel();
  // It may wait behind another turn, for long.
  else setTimeout((waiting) => { if (!waiting.turn) waiting.controller.abort(); }, CANCEL_WAIT_MS, live);
}

async function cancel() {
  const stopping = live;
  try {
    const answer = await fetch(here(`${CONVERSATION}/${stopping.turn}/cancel`), { method: "PUT" });
    if (answer.ok) return;
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
  }
  stopping.isStopped = false;
  tell(" It could not be stopped; try again. ");
}

// A turn that is being answered already when the page is opened is followed from its first event.
function pickUp() {
  const section = [...talk.querySelectorAll(".turn")].pop();
  if (!chat.dataset.turn || !section) return;
  const fresh = made("new-turn");
  fresh.querySelector("h2").textContent = section.querySelector("h2").textContent;
  live = newLive(section, { asked: chat.dataset.asked ?? "", turn: chat.dataset.turn });
  const counted = sumsOf(section);
  for (const name of Object.keys(counted)) live.before[name] -= counted[name];
  section.querySelector("header").replaceWith(fresh.querySelector("header"));
  for (const node of [...section.children]) if (!node.matches("header, .said.user, .said.system")) node.remove();
  element("waiting")?.remove();
  follow();
}

chat.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.matches(".say, .retry, .start form")) return;
  event.preventDefault();
  const text = form.matches(".start form") ? event.submitter.value : form.elements.message.value;
  if (!text.trim() || live) return;
  if (form.matches(".say")) form.elements.message.value = "";
  else entry()?.focus({ preventScroll: true });
  send(text);
});

chat.addEventListener("click", (event) => { if (event.target.id === "stop") stop(); });

document.addEventListener("keydown", (event) => {
  if (event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape" && live) {
    event.preventDefault();
    event.stopPropagation();
    stop();
  } else if (event.key === "Enter" && !event.shiftKey && event.target.id === "message") {
    event.preventDefault();
    if (live) tell(" Wait for the answer, or stop it with Escape. ");
    else element("say").requestSubmit(element("send"));
  }
});

for (const node of chat.querySelectorAll("[data-scripted]")) node.hidden = false;
if (chat.dataset.session) foldOnPhones();
const draft = sessionStorage.getItem(draftName());
if (draft && entry() && !entry().value) entry().value = draft;
if (chat.dataset.session && !/^#(m|t|turn)-/.test(location.hash)) {
  scrollTo({ top: document.documentElement.scrollHeight, behavior: "instant" });
}
pickUp();
