// Goal: a daemon under mixed load on all three doors stays what it is: memory, descriptors and threads
// do not grow, and at the end the accounts agree: counters = rows = what the provider bills, to the
// nano-dollar, the list = the quota = the files of blobs, to the byte, and no temp file is left; all of
// that after a restart too.
// Method: soak.mjs for SOAK_SECONDS; `make soak` has ten minutes of it, the tests a few seconds. The
// first half is for buffers and pools to fill; over the second half a line through the samples may rise
// by no more than `flat` says, however long it was. So the longer the run, the smaller the leak that it
// sees: a request that leaks 100 bytes shows in ten minutes, one that leaks a descriptor in seconds.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Soak } from './soak.mjs';

const seconds = Number(process.env.SOAK_SECONDS ?? 8);
const flat = { resident: 8 << 20, descriptors: 8, threads: 4 };

test(`soak: ${seconds} s of mixed load on all doors leak nothing, and the accounts agree`, async (context) => {
  const soak = new Soak();
  try {
    await soak.begin();
    await soak.run(seconds);
    const last = soak.samples.at(-1);
    const rises = Object.fromEntries(Object.keys(flat).map((what) => [what, soak.rise(what)]));
    context.diagnostic(Object.entries(soak.done).map(([name, times]) => `${times} ${name}`).join(', '));
    context.diagnostic(`${(last.resident / 2 ** 20).toFixed(1)} MiB, ${last.descriptors} descriptors, ` +
      `${last.threads} threads; second half: ${(rises.resident / 2 ** 20).toFixed(2)} MiB, ` +
      `${rises.descriptors.toFixed(1)} descriptors, ${rises.threads.toFixed(1)} threads more`);
    await soak.rest();
    context.diagnostic(`${soak.mocks.inferences} inferences for ${soak.mocks.billedNano} nano-USD`);
    await soak.checkMoney();
    await soak.checkBytes();
    assert.equal(soak.mocks.toolCalls, soak.done.toolCall, 'each tool call reached its API once');
    for (const [what, most] of Object.entries(flat)) {
      assert.ok(rises[what] <= most, `${what}: ${rises[what]} more over the second half; at most ${most}`);
    }
    await soak.daemon.stop();
    await soak.daemon.start();
    await soak.checkMoney();
    await soak.checkBytes();
  } catch (failure) {
    failure.message += `\nthe daemon's last lines:\n${soak.daemon.log.split('\n').slice(-20).join('\n')}`;
    throw failure;
  } finally {
    await soak.end();
  }
});
