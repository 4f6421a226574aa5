// For jest, before Cloudflare's own tests of this resource: none is skipped, and each starts from a fresh emulator.
test.skip = test;

beforeEach(async () => {
  const answer = await fetch(`${process.env.EMULATOR_ORIGIN}/_emulator/reset`, { method: "POST" });
  if (!answer.ok) throw new Error(await answer.text());
});
