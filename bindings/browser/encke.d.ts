/** The client of an Encke server for browsers. */

/** Ways to be held, best first; a poll and a long-poll are the ground under all of them. */
export type Transport = "websocket" | "stream" | "long-poll" | "jsonp" | "poll";

export type State =
  /** Nothing has been heard yet. */
  | "connecting"
  /** Messages come as they are published. */
  | "open"
  /** Cut off: it tries again, at the latest after half a minute. */
  | "waiting"
  /** By `close`. */
  | "closed";

export interface Message<Data = unknown> {
  readonly channel: string;
  /** `epoch-offset`: also a cursor, for whoever begins behind this message. */
  readonly id: string;
  /** The name that it was published under, if any. */
  readonly event?: string;
  /** What was published: JSON as what it stands for, text as a string, bytes as a `Uint8Array`. */
  readonly data: Data;
  /** How many messages before this one were left out for later ones with their event names, where the server does that. */
  readonly conflated?: number;
}

/** Messages of a channel were let go before they could come; how many, if that is known. */
export interface Gap {
  readonly channel: string;
  readonly missed: number | null;
}

/** A channel is not read any more, and why. */
export interface Refusal {
  readonly channel: string;
  readonly status: number;
  readonly code: string;
  readonly detail: string;
  readonly message: string;
}

/** Where reading begins: with the next message, the oldest there is, or behind a cursor. */
export type Since = "now" | "earliest" | (string & {});

export interface Options {
  /** Names, as `/chat/rome`. */
  channels?: string | readonly string[];
  since?: Since;
  /** What may be used; all by default. A long-poll and polls are used whatever this says, until something better works. */
  transports?: readonly Transport[];
  /** Bytes behind each event of a stream that are tried in turn, to open buffers on the way; 0, 4096 and 8192 by default. */
  padding?: number | readonly number[];
  /** Milliseconds in which a transport must say hello; 900 by default, and never less than two round trips and a quarter of a second. */
  patience?: number;
  /** As for `fetch`. Cookies go to other sites only with `"include"`, where the server names this origin. */
  credentials?: RequestCredentials;
  /** Sent with each request, as a token's `Authorization`. WebSockets can send none, so they are not used then. */
  headers?: Readonly<Record<string, string>>;
  /**
   * Gives the token that is shown with each request, WebSockets included; `refused` if the last one was. It is asked again before
   * a token ends, so that what it gives should be kept until then.
   */
  token?: (refused: boolean) => string | null | undefined | Promise<string | null | undefined>;
  /** Who the token is of: tabs of one user share a connection. Without this each tab has its own. */
  user?: string;
  onstate?: Feed["onstate"];
  ongap?: Feed["ongap"];
  onerror?: Feed["onerror"];
}

/** What a server says to a message: its id, or that the program around the server has taken it. */
export type Published = { readonly id: string; readonly subscribers: number } | { readonly taken: true };

/**
 * A server refused what was published. A `TypeError`, by `fetch` or because a minute brought no answer, says instead that nobody
 * knows whether it arrived.
 */
export interface Refused extends Error {
  readonly name: "Refused";
  readonly status: number;
  readonly code: string;
  readonly detail: string;
}

export interface Feed extends AsyncIterable<Message> {
  readonly state: State;
  /** What is used now; `null` before anything is. */
  readonly transport: Transport | null;
  readonly padding: number;
  /** The name of this tab, which survives reloads. */
  readonly tab: string;
  /** Whether this tab holds the connection for all tabs. */
  readonly leads: boolean;
  readonly channels: string[];
  /** What was handed on so far: another feed goes on behind that. */
  readonly cursor: string;
  onstate: ((state: State) => void) | null;
  ongap: ((gap: Gap) => void) | null;
  onerror: ((refusal: Refusal) => void) | null;
  /** Hears the messages of a channel, of `/a/*` (one segment more), or `/a/**` (one more or several). Gives what ends that. */
  on<Data = any>(pattern: string, handler: (message: Message<Data>) => void): () => void;
  /** Settles when all are read from there on, or refused. */
  subscribe(channels: string | readonly string[], options?: { since?: Since }): Promise<void>;
  unsubscribe(channels: string | readonly string[]): void;
  /** One behind the other. Text goes as it is, bytes too, anything else as JSON. Rejects with {@link Refused} or a `TypeError`. */
  publish(channel: string, data: unknown, options?: { event?: string; type?: string }): Promise<Published>;
  close(): void;
}

/** Reads channels of the server at `url`, which may be relative: `"/"` for the one that this page is from. */
export function connect(url: string | URL, options?: Options): Feed;

declare const encke: { connect: typeof connect };
export default encke;

declare global {
  /** With the classic script. */
  var encke: { connect: typeof connect };
}
