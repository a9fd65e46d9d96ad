// Where one is signed in, and by what ways one signs in. To end a session acts at once.
import { useState } from 'preact/hooks';
import { api, type Schema } from '../../api/client';
import { useAction, useQuery } from '../../api/query';
import { Badge, Button, type Column, ErrorBox, Page, Section, Table, Time, toast, told } from '../../ui';
import { AccountTabs } from './AccountTabs';
import { ItIsYou } from './ItIsYou';

type Session = Schema<'MySession'>;
type SignIn = Schema<'MySignIn'>;

// "Firefox on Linux" of a User-Agent, or the start of it.
export function browserOf(agent: string): string {
  const browser = /(Edg|OPR|Firefox|Chrome|Safari|curl|kvcs)\//.exec(agent)?.[1];
  const system = /Windows|Android|iPhone|iPad|Mac OS X|Linux/.exec(agent)?.[0];
  const name = browser === 'Edg' ? 'Edge' : browser === 'OPR' ? 'Opera' : browser;
  return name
    ? `${name}${system ? ` on ${system.replace('Mac OS X', 'macOS')}` : ''}`
    : agent.slice(0, 60) || 'unknown';
}

function Sessions() {
  const list = useQuery(
    '/api/v1/me/sessions',
    (signal) => api.get('/api/v1/me/sessions', { signal }),
    { pollMs: 30_000 },
  );
  const end = (row: Session) =>
    told(
      `${row.device ?? browserOf(row.user_agent)} (${row.address}) is signed out.`,
      () =>
        api.delete('/api/v1/me/sessions/{session_id}', { path: { session_id: row.session_id } }),
      '/api/v1/me/sessions',
    );
  const others = useAction(async () => {
    await api.delete('/api/v1/me/sessions');
    list.refresh();
    toast('You are signed out everywhere else.');
  });
  const columns: Column<Session>[] = [
    {
      key: 'device',
      label: 'Device',
      cell: (row) => (
        <span title={row.user_agent}>
          {row.device ?? browserOf(row.user_agent)}{' '}
          {row.current && <Badge tone="good">this one</Badge>}
        </span>
      ),
    },
    { key: 'address', label: 'Address', cell: (row) => <code>{row.address}</code>, narrow: 'sub' },
    {
      key: 'used',
      label: 'Last used',
      cell: (row) => <Time at={row.last_used_at ?? row.created_at} />,
      narrow: 'end',
    },
    { key: 'by', label: 'Signed in by', cell: (row) => row.provider, narrow: 'hide' },
    { key: 'since', label: 'Since', cell: (row) => <Time at={row.created_at} />, narrow: 'hide' },
    { key: 'ends', label: 'Ends', cell: (row) => <Time at={row.expires_at} />, narrow: 'hide' },
    {
      key: 'end',
      label: '',
      align: 'right',
      narrow: 'side',
      cell: (row) =>
        !row.current && (
          <Button
            kind="quiet"
            label={`Sign out ${row.device ?? browserOf(row.user_agent)}`}
            onClick={() => void end(row)}
          >
            Sign out
          </Button>
        ),
    },
  ];
  const several = (list.data?.sessions.length ?? 0) > 1;
  return (
    <Section
      title="Sessions"
      action={
        several && (
          <Button busy={others.busy} onClick={() => void others.run()}>
            Sign out everywhere else
          </Button>
        )
      }
    >
      {others.error && <ErrorBox error={others.error} />}
      <Table
        label="Sessions"
        rows={list.data?.sessions}
        columns={columns}
        idOf={(row) => row.session_id}
        error={list.error}
        onRetry={list.refresh}
      />
    </Section>
  );
}

function Ways() {
  const list = useQuery('/api/v1/me/sign-ins', (signal) =>
    api.get('/api/v1/me/sign-ins', { signal }),
  );
  const providers = useQuery('/auth/providers', (signal) => api.get('/auth/providers', { signal }));
  const known = new Set((list.data?.sign_ins ?? []).map((one) => one.provider));
  const more = (providers.data?.providers ?? []).filter((one) => !known.has(one.name));
  const [adding, setAdding] = useState('');
  const drop = (row: SignIn) =>
    told(
      `${row.provider ?? row.issuer} is no way to sign in any more.`,
      () =>
        api.delete('/api/v1/me/sign-ins/{sign_in_id}', { path: { sign_in_id: row.sign_in_id } }),
      '/api/v1/me/sign-ins',
    );
  const columns: Column<SignIn>[] = [
    { key: 'way', label: 'Way', cell: (row) => row.provider ?? 'configured no longer' },
    { key: 'issuer', label: 'Issuer', narrow: 'sub', cell: (row) => row.issuer },
    { key: 'subject', label: 'As', narrow: 'end', cell: (row) => row.subject },
    {
      key: 'end',
      label: '',
      align: 'right',
      narrow: 'side',
      cell: (row) =>
        (list.data?.sign_ins.length ?? 0) > 1 && (
          <Button
            kind="quiet"
            label={`Take away ${row.provider ?? row.issuer}`}
            onClick={() => void drop(row)}
          >
            Take away
          </Button>
        ),
    },
  ];
  return (
    <Section
      title="Ways to sign in"
      action={more.map((one) => (
        <Button key={one.name} onClick={() => setAdding(one.name)}>
          Add {one.name}
        </Button>
      ))}
    >
      {adding !== '' && (
        <ItIsYou
          onClose={() => setAdding('')}
          act={async (body) => {
            const path = { provider: adding };
            const { url } = await api.post('/auth/link/{provider}', { path, body });
            location.assign(url);
          }}
        />
      )}
      <Table
        label="Ways to sign in"
        rows={list.data?.sign_ins}
        columns={columns}
        idOf={(row) => row.sign_in_id}
        error={list.error}
        onRetry={list.refresh}
      />
    </Section>
  );
}

export default function SessionsPage() {
  return (
    <Page title="Sessions and sign-ins">
      <AccountTabs />
      <Sessions />
      <Ways />
    </Page>
  );
}
