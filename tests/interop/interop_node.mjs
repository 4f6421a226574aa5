// Cloudflare's official Node SDK against the emulator and its control API; interop_node.py runs it.
import assert from "node:assert/strict";
import { createRequire } from "node:module";

const require = createRequire(`${process.env.EMULATOR_NODE_PACKAGES}/`);
const { Cloudflare } = require("cloudflare");

const account_id = process.env.CLOUDFLARE_ACCOUNT_ID;
const unknown = "f".repeat(32);

function pagerdutyOf(options = {}) {
  const baseURL = process.env.CLOUDFLARE_BASE_URL;
  return new Cloudflare({ baseURL, maxRetries: 0, timeout: 10_000, ...options }).alerting.destinations.pagerduty;
}

async function control(action, body) {
  const response = await fetch(`${process.env.EMULATOR_ORIGIN}/_emulator/${action}`, {
    method: "POST",
    body: body && JSON.stringify(body),
  });
  assert.equal(response.ok, true, await response.text());
}

async function names() {
  const found = [];
  for await (const service of pagerdutyOf().get({ account_id })) found.push(service.name);
  return found;
}

const pagerduty = pagerdutyOf();

// The whole flow.
assert.deepEqual(await names(), []);
const token = await pagerduty.create({ account_id });
await assert.rejects(pagerduty.link(token.id, { account_id }), Cloudflare.BadRequestError);
await control("authorize", { token: token.id, services: ["Primary on-call", "Database"] });
const linked = await pagerduty.link(token.id, { account_id });
assert.notEqual(linked.id, token.id);
assert.deepEqual(await names(), ["Primary on-call", "Database"]);
await assert.rejects(pagerduty.link(token.id, { account_id }), Cloudflare.ConflictError);
assert.equal((await pagerduty.delete({ account_id })).success, true);
assert.deepEqual(await names(), []);

// The class of each failure.
const unauthenticated = pagerdutyOf({ apiToken: "unknown" });
await assert.rejects(unauthenticated.create({ account_id }), Cloudflare.AuthenticationError);
await assert.rejects(pagerduty.create({ account_id: unknown }), Cloudflare.NotFoundError);
await assert.rejects(pagerduty.link(unknown, { account_id }), Cloudflare.NotFoundError);
const expected = {
  403: Cloudflare.PermissionDeniedError,
  422: Cloudflare.UnprocessableEntityError,
  429: Cloudflare.RateLimitError,
  503: Cloudflare.InternalServerError,
};
for (const [status, kind] of Object.entries(expected)) {
  await control("faults", { fault: "respond", arguments: { status: Number(status) }, operations: ["create"], times: 1 });
  await assert.rejects(pagerduty.create({ account_id }), kind);
}
await control("faults", { fault: "reset_before_acting", operations: ["create"], times: 1 });
await assert.rejects(pagerduty.create({ account_id }), Cloudflare.APIConnectionError);
await control("faults", { fault: "hang", operations: ["create"], times: 1 });
await assert.rejects(pagerdutyOf({ timeout: 50 }).create({ account_id }), Cloudflare.APIConnectionTimeoutError);

console.log("passed");
process.exit(0);
