// Small things that the tests of transfers and under random load share.
import { createHash } from 'node:crypto';

// Whether a rig that takes long is wanted whole; else a short way through it is enough.
export const isWhole = process.env.KVCS_TEST_WHOLE === '1';

export const chance = (share) => Math.random() < share;
export const between = (low, high) => low + Math.random() * (high - low);
export const whole = (low, high) => Math.floor(between(low, high + 1));
export const pick = (list) => list[Math.floor(Math.random() * list.length)];
export const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');

// An address of this machine that nobody else is likely to listen at. While a daemon is down its port
// may become another program's, whose answers would be taken for the daemon's.
export const ownAddress = () => `127.${whole(1, 254)}.${whole(1, 254)}.${whole(1, 254)}`;

// Visits all, a few at a time.
export async function each(list, visit, atOnce = 4) {
  const left = [...list];
  await Promise.all(Array.from({ length: atOnce }, async () => {
    while (left.length > 0) await visit(left.shift());
  }));
}

// Settings that put the limits which one caller's load would meet out of reach.
export const kNoLimits = {
  KVCS_ADMIN_REQUESTS_PER_MINUTE: '1000000',
  KVCS_ARTIFACTS_REQUESTS_PER_MINUTE: '-1',
  KVCS_ARTIFACTS_QUOTA_ARTIFACTS: '10000000',
  KVCS_GATEWAY_TOKEN_REQUESTS_PER_MINUTE: '-1',
  KVCS_GATEWAY_TENANT_REQUESTS_PER_MINUTE: '-1',
};
