// Ends a file of tests one of whose tests does not end, and says which: tests/run.sh has node load
// this before each file. The file counts as failed, and its daemons end with it.
if (process.env.NODE_TEST_CONTEXT !== undefined) {
  // What a test starts is no test: it shall not load this.
  delete process.env.NODE_OPTIONS;
  const { afterEach, beforeEach } = await import('node:test');
  const limitS = Number(process.env.KVCS_TEST_LIMIT_S) || 180;
  let timer;
  beforeEach((test) => {
    timer = setTimeout(() => {
      process.stderr.write(`\nwatchdog: test '${test.name}' has not ended after ${limitS} s; `
        + 'KVCS_TEST_LIMIT_S gives it longer\n');
      process.exit(1);
    }, limitS * 1000);
    timer.unref();
  });
  afterEach(() => clearTimeout(timer));
}
