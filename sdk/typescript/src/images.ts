// Images of the daemon's host.

import { type EventStream, eventData, eventFailure } from "./event_stream.js";
import type { RequestOptions } from "./options.js";
import type { Image, ImageList, PullDone, PullImageRequest, PullProgress } from "./schema.js";
import { segment, type Transport } from "./transport.js";

/** How far a pull is, then what came of it. Leaving the loop ends the pull. */
export type ImagePull = EventStream<PullProgress, PullDone>;

export class Images {
  readonly #transport: Transport;

  /** @internal */
  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** All images, by name. */
  async list(options: RequestOptions = {}): Promise<Image[]> {
    const call = { method: "GET", path: "/v1/images", repeatable: true, options } as const;
    return (await this.#transport.json<ImageList>(call)).images;
  }

  /** One image. */
  get(name: string, options: RequestOptions = {}): Promise<Image> {
    return this.#transport.json<Image>({ method: "GET", path: path(name), repeatable: true, options });
  }

  /** Removes one that no session uses. */
  remove(name: string, options: RequestOptions = {}): Promise<void> {
    return this.#transport.remove({ method: "DELETE", path: path(name), options });
  }

  /** Pulls one from a registry that the daemon's configuration allows. */
  pull(request: PullImageRequest, options: RequestOptions = {}): Promise<ImagePull> {
    const call = { method: "POST", path: "/v1/images/pull", json: request, options } as const;
    return this.#transport.events<PullProgress, PullDone>(call, (event, requestId) => {
      if (event.event === "progress") return { item: eventData<PullProgress>(event) };
      if (event.event === "done") return { end: { value: eventData<PullDone>(event) } };
      if (event.event === "error") throw eventFailure(event, requestId);
      return {};
    });
  }
}

function path(name: string): string {
  return `/v1/images/${segment(name)}`;
}
