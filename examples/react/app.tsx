// A question and its answer; a block in between is sold in place.
import { StrictMode, useState } from "react";
import { createRoot } from "react-dom/client";
import { useTollkeeper } from "./useTollkeeper";

function Chat({ pageUrl, upgradeUrl }: { pageUrl: string; upgradeUrl: string }) {
  const { ready, showing, open, send } = useTollkeeper(pageUrl, { lang: "en" });
  const [answer, setAnswer] = useState("");

  async function ask() {
    setAnswer("…");
    const response = await send("/api/chat", { method: "POST", body: new URLSearchParams({ text: "hi" }) });
    const body = await response.json();
    setAnswer(response.ok ? `You said: ${body.said}` : body.upgrade_message);
  }

  return (
    <main>
      <button disabled={!ready} onClick={ask}>Ask</button>
      <button disabled={!ready} onClick={async () => setAnswer(await open(upgradeUrl))}>Buy credits</button>
      <p>{showing ? "The upgrade page is open." : "Chat"}</p>
      <output>{answer}</output>
    </main>
  );
}

const root = document.getElementById("root")!;
const { page, upgrade } = root.dataset;
createRoot(root).render(
  <StrictMode>
    <Chat pageUrl={page!} upgradeUrl={upgrade!} />
  </StrictMode>,
);
