/** Types of embed.js and embed.mjs. */

/** What has become of an upgrade page. "paid": the next check says whether the credits are there. */
export type Outcome = "paid" | "dismissed";

export interface Options {
  /** The language, such as "de"; the browser's where there is none. */
  lang?: string;
}

/** One of a check's `warnings`. */
export interface Warning {
  code: "limit_near";
  window: "daily" | "weekly" | "monthly";
  percent: number;
  threshold: 50 | 80 | 100;
  resets_at: string;
}

/** Show the upgrade page over this one. Rejects for an address that is not an `upgrade_url`. */
export function open(url: string, options?: Options): Promise<Outcome>;

/** `fetch`, which sells where the answer is a block and then sends the request once more. */
export function fetch(input: RequestInfo | URL, init?: RequestInit): Promise<Response>;

/** A banner where a limit is near, each threshold once a period; whether there was one to show. */
export function warn(
  warnings: readonly Warning[] | null | undefined,
  upgradeUrl: string | (() => string | Promise<string>),
  options?: Options,
): boolean;

export interface Tollkeeper {
  readonly open: typeof open;
  readonly fetch: typeof fetch;
  readonly warn: typeof warn;
}

declare const tollkeeper: Tollkeeper;
export default tollkeeper;

declare global {
  var Tollkeeper: Tollkeeper;
}
