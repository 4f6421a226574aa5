// For jest, before Cloudflare's own tests of this resource: none is skipped, and each starts from a fresh emulator.
test.skip = test;

beforeEach(async () => {
  const response = await fetch(`${process.env.EMULATOR_ORIGIN}/_emulator/reset`, { method: "POST" });
  if (!response.ok) throw new Error(await response.text());
});
