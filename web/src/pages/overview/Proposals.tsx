// What the morning's briefing proposes, to be accepted or rejected.
import { api } from '../../api/client';
import { useQuery } from '../../api/query';
import { mayOperate, type Me } from '../../api/session';
import { href } from '../../router';
import { Button, Section, State, Time, type Tone } from '../../ui';
import { decide, type Decision, decisionsPath } from '../gateway/decisions';

const tones: Record<string, Tone> = { critical: 'bad', warning: 'warn', info: 'info' };

// The overview shows so many, and says when there are more.
const shownMax = 20;

export function Proposals({ me }: { me: Me }) {
  const list = useQuery(
    `${decisionsPath}?status=proposed`,
    (signal) => api.get(decisionsPath, { query: { status: 'proposed', limit: shownMax }, signal }),
    { pollMs: 60_000 },
  );
  const rows = list.data?.decisions ?? [];
  if (rows.length === 0) return null;
  // It is gone from the list at once, and back when it was refused.
  const settle = (row: Decision, status: 'accepted' | 'rejected') => {
    const before = list.data;
    if (before)
      list.set({ ...before, decisions: before.decisions.filter((one) => one.id !== row.id) });
    void decide(row, status);
  };
  return (
    <Section
      title="Today's briefing"
      action={<a href={href('/gateway/briefings')}>All briefings</a>}
      note={list.data?.cursor && `The newest ${shownMax} of those that wait for a decision.`}
    >
      <ul class="proposals">
        {rows.map((row) => (
          <li key={row.id}>
            <div>
              <State state={row.severity} tone={tones[row.severity] ?? 'none'} />{' '}
              <b dir="auto">
                {row.kind.replace(/_/g, ' ')}
                {row.subject && `: ${row.subject}`}
              </b>{' '}
              <span class="muted small">
                <Time at={row.ts} />
              </span>
              <p dir="auto">{row.suggestion}</p>
            </div>
            {mayOperate(me) && (
              <div class="form-actions">
                <Button
                  label={`Accept: ${row.suggestion}`}
                  onClick={() => settle(row, 'accepted')}
                >
                  Accept
                </Button>
                <Button
                  kind="quiet"
                  label={`Reject: ${row.suggestion}`}
                  onClick={() => settle(row, 'rejected')}
                >
                  Reject
                </Button>
              </div>
            )}
          </li>
        ))}
      </ul>
    </Section>
  );
}
