// The upgrade page as a React hook: loads embed.js once, and says what is going on.
//
//   const { ready, showing, open, send } = useTollkeeper("https://<upgrade page URL>", { lang: "de" });
//   const response = await send("/api/chat", { method: "POST", body });
import { useCallback, useEffect, useState } from "react";

type Outcome = "paid" | "dismissed";

const loading = new Map<string, Promise<void>>();

/** One script for the whole app, however many components ask for it. */
function load(pageUrl: string): Promise<void> {
  const address = new URL("/embed.js", pageUrl).href;
  const known = loading.get(address);
  if (known) return known;
  const script = document.createElement("script");
  script.src = address;
  const loaded = new Promise<void>((resolve, reject) => {
    script.addEventListener("load", () => resolve());
    script.addEventListener("error", () => {
      loading.delete(address); // the next component tries again
      script.remove();
      reject(new Error(`${address} did not load`));
    });
  });
  loading.set(address, loaded);
  document.head.append(script);
  return loaded;
}

export function useTollkeeper(pageUrl: string, { lang }: { lang?: string } = {}) {
  const [ready, setReady] = useState(false);
  const [showing, setShowing] = useState(false);

  useEffect(() => {
    let here = true;
    load(pageUrl).then(
      () => here && setReady(true),
      (error) => console.error(error),
    );
    return () => {
      here = false;
    };
  }, [pageUrl]);

  /** Shows an `upgrade_url`; answers what came of it. */
  const open = useCallback(
    async (url: string): Promise<Outcome> => {
      await load(pageUrl);
      setShowing(true);
      try {
        return await Tollkeeper.open(url, { lang });
      } finally {
        setShowing(false);
      }
    },
    [pageUrl, lang],
  );

  /** `fetch`, which sells where the answer is a block, and then sends the request once more. */
  const send = useCallback(
    async (input: RequestInfo | URL, init?: RequestInit): Promise<Response> => {
      await load(pageUrl);
      return Tollkeeper.fetch(input, init);
    },
    [pageUrl],
  );

  return { ready, showing, open, send };
}
