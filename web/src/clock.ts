// The daemon's time, as its answers tell it: times are said right on a machine whose clock is wrong.

let aheadMs = 0;
// Answers are to the second, and take a while: a smaller difference is none.
const noticedMs = 5000;

export function noteServerTime(date: string | null): void {
  const told = Date.parse(date ?? '');
  if (Number.isNaN(told)) return;
  const ahead = told - Date.now();
  aheadMs = Math.abs(ahead) < noticedMs ? 0 : ahead;
}

export const serverNow = (): number => Date.now() + aheadMs;
