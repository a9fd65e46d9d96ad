// Goal: whatever moment the daemon is killed at, nothing that it has acknowledged is lost or undone:
// keys, organizations, artifacts and their bytes, charges, the audit.
// Method: chaos.mjs for CHAOS_SECONDS; `make chaos` has ten minutes of it, the tests a few seconds.
import { test } from 'node:test';
import { Chaos } from './chaos.mjs';

const seconds = Number(process.env.CHAOS_SECONDS ?? 10);

test(`chaos: ${seconds} s of random kills lose nothing that was acknowledged`, async (context) => {
  const chaos = new Chaos();
  try {
    await chaos.begin();
    await chaos.run(seconds);
    context.diagnostic(`${chaos.kills} kills, ${chaos.chats} chats, ${chaos.keys.size} keys, ` +
      `${chaos.organizations.size} organizations, ${chaos.artifacts.size} artifacts`);
  } catch (failure) {
    failure.message += `\nthe daemon's last lines:\n${chaos.daemon.log.split('\n').slice(-20).join('\n')}`;
    throw failure;
  } finally {
    await chaos.end();
  }
});
