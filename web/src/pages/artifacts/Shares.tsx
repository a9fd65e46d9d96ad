// The links to one artifact: made, listed with what was used of them, and withdrawn.
import { useState } from 'preact/hooks';
import { api, type Schema } from '../../api/client';
import { type Action, useAction, useQuery } from '../../api/query';
import {
  Button,
  type Column,
  Commands,
  ErrorBox,
  Section,
  State,
  Table,
  Time,
  toast,
} from '../../ui';
import { inWords } from './refusal';
import { waysToShare } from './ways';

type Share = Schema<'Share'> & { state?: string };

const facts: Column<Share>[] = [
  { key: 'made', label: 'Made', cell: (one) => <Time at={one.created_at} /> },
  {
    key: 'state',
    label: 'State',
    cell: (one) => (one.state ? <State state={one.state} /> : null),
    narrow: 'side',
  },
  {
    key: 'used',
    label: 'Downloads',
    align: 'right',
    cell: (one) => (
      <span class="figure">
        {one.downloads}
        {one.downloads_max !== null && ` of ${one.downloads_max}`}
      </span>
    ),
    narrow: 'sub',
  },
  {
    key: 'password',
    label: 'Password',
    cell: (one) => (one.has_password ? 'asked for' : 'none'),
    narrow: 'hide',
  },
  {
    key: 'ends',
    label: 'Ends',
    align: 'right',
    cell: (one) => <Time at={one.expires_at} />,
    narrow: 'hide',
  },
];

const withdrawal = (end: Action<[Share]>): Column<Share> => ({
  key: 'end',
  label: '',
  align: 'right',
  narrow: 'end',
  cell: (one) => (
    <Button kind="quiet" busy={end.busy} onClick={() => void end.run(one)}>
      Withdraw
    </Button>
  ),
});

export function Shares({
  id,
  writes,
  onShare,
}: {
  id: string;
  writes: boolean;
  onShare: () => void;
}) {
  const key = `/api/v1/artifacts/${id}/shares`;
  const [shown, show] = useState(false);
  const list = useQuery(
    writes ? key : null,
    async (signal) =>
      (await api.get('/api/v1/artifacts/{id}/shares', { path: { id }, signal })).shares as Share[],
    { pollMs: 30_000 },
  );
  const end = useAction(async (one: Share) => {
    await inWords(
      api.delete('/api/v1/artifacts/{id}/shares/{share_id}', {
        path: { id, share_id: one.share_id },
      }),
    );
    toast('The link works no longer.');
    list.refresh();
  });
  if (!writes) return null;
  const columns = [...facts, withdrawal(end)];
  return (
    <Section title="Share links" action={<Button onClick={onShare}>Make a link</Button>}>
      {end.error && <ErrorBox error={end.error} />}
      <Table
        label="Share links"
        rows={list.data}
        columns={columns}
        idOf={(one) => one.share_id}
        error={list.error}
        onRetry={list.refresh}
        empty={
          <p class="muted">
            No link opens it. A link lets somebody without an account download it.{' '}
            <button type="button" class="link" aria-expanded={shown} onClick={() => show(!shown)}>
              The same by command
            </button>
          </p>
        }
      />
      {shown && <Commands label="Make a link" ways={waysToShare(id)} />}
    </Section>
  );
}
