// States of sessions as they change.

import type { ServerEvent } from "./event_parser.js";
import { type EventStream, eventData, type Meaning } from "./event_stream.js";
import type { Lagged, SessionStatus, StateEvent } from "./schema.js";

/** A state that a session has, or came to; or that so many changes were missed that the stream ends here. */
export type SessionEvent =
  | ({ kind: "state" /** What to come back with as `lastEventId`. */; id: string } & StateEvent)
  | ({ kind: "lagged" } & Lagged);

/** States of sessions, the present ones first. */
export type SessionEventStream = EventStream<SessionEvent>;

/** The states that a session does not come back from. */
const ENDED: readonly SessionStatus[] = ["expired", "destroyed", "crashed"];

/** States of all sessions, without an end. */
export function anySessionMeaning(event: ServerEvent): Meaning<SessionEvent, undefined> {
  if (event.event === "state") return { item: { kind: "state", id: event.id, ...eventData<StateEvent>(event) } };
  if (event.event === "lagged") {
    return { item: { kind: "lagged", ...eventData<Lagged>(event) }, end: { value: undefined } };
  }
  return {};
}

/** States of one session: the last one is its end. */
export function oneSessionMeaning(event: ServerEvent): Meaning<SessionEvent, undefined> {
  const meaning = anySessionMeaning(event);
  const { item } = meaning;
  return item?.kind === "state" && ENDED.includes(item.status) ? { item, end: { value: undefined } } : meaning;
}
