// What the page asks of its server.

export class Blocked extends Error {
  constructor(details) {
    super(details.upgrade_message);
    Object.assign(this, details);
  }
}

export async function getJson(path) {
  return parse(await fetch(path));
}

export async function postJson(path, body) {
  return parse(await post(path, body));
}

// Yields [kind, data] for each event of the answer; throws Blocked when the user is at a limit.
export async function* chat(body, signal) {
  const response = await post("/api/chat", body, signal);
  if (response.status === 402) throw new Blocked(await response.json());
  if (!response.ok) await parse(response);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let waiting = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const events = (waiting + value).split("\n\n");
    waiting = events.pop();
    for (const event of events) {
      const [, kind, data] = /^event: (.*)\ndata: (.*)$/.exec(event);
      yield [kind, JSON.parse(data)];
    }
  }
}

function post(path, body, signal) {
  const headers = { "content-type": "application/json" };
  return fetch(path, { method: "POST", headers, body: JSON.stringify(body), signal });
}

async function parse(response) {
  const body = await response.json();
  if (!response.ok) throw new Error(body.detail);
  return body;
}
