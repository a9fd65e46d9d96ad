// Which tokens expire on which of the next seven days, in local days.
export interface Day { label: string; from: number; to: number; expiring: string[] }

const dayMs = 86_400_000;

export function nextDays(accounts: { provider: string; account_id: string; expires_at: string | null }[], now: number): Day[] {
  const start = new Date(now);
  start.setHours(0, 0, 0, 0);
  return Array.from({ length: 7 }, (_, at) => {
    const from = at === 0 ? now : start.getTime() + at * dayMs;
    const to = start.getTime() + (at + 1) * dayMs;
    const expiring = accounts.filter((one) => {
      const ends = one.expires_at === null ? NaN : Date.parse(one.expires_at);
      return ends >= from && ends < to;
    }).map((one) => `${one.provider}/${one.account_id}`);
    const label = at === 0 ? 'today' : new Date(from).toLocaleDateString('en-GB', { weekday: 'short', day: 'numeric' });
    return { label, from, to, expiring };
  });
}
