import assert from "node:assert/strict";
import { test } from "node:test";
import { ImageNotFoundError, InvalidImageError } from "../../src/index.js";
import { realClient } from "./real_daemon.js";

/** Whoever runs these tests imports an image of this name first. */
const REMOVABLE = "removable:1";

test("images are listed, looked at and removed", async () => {
  const { images } = realClient();
  const names = (await images.list()).map(({ name }) => name);
  assert(names.includes("host") && names.includes(REMOVABLE), `there are ${names}; import ${REMOVABLE} for this test`);
  assert.equal((await images.get(REMOVABLE)).name, REMOVABLE);
  await images.remove(REMOVABLE);
  await assert.rejects(images.get(REMOVABLE), ImageNotFoundError);
});

test("a pull from a registry that is not allowed is refused by name", async () => {
  const { images } = realClient();
  await assert.rejects(images.pull({ reference: "127.0.0.1:1/nothing:1" }), InvalidImageError);
});
