// The next seven days, and how many tokens end on each.
import { serverNow } from '../../clock';
import { nextDays } from './strip';

export function ExpiryStrip({ accounts }: { accounts: { provider: string; account_id: string; expires_at: string | null }[] }) {
  const days = nextDays(accounts, serverNow());
  return (
    <ol class="strip" aria-label="Tokens that end in the next seven days, and nothing renews them">
      {days.map((day) => (
        <li key={day.from} class={day.expiring.length > 0 ? 'some' : ''} title={day.expiring.join(', ')}>
          <span class="muted small">{day.label}</span>
          <b>{day.expiring.length === 0 ? '–' : day.expiring.length}</b>
        </li>
      ))}
    </ol>
  );
}
