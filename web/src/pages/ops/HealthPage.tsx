// How the daemon is, part by part, and whether calls of tools go out.
import { api, type Schema } from '../../api/client';
import { invalidate, useAction, useQuery } from '../../api/query';
import { useMe } from '../../api/session';
import { partName, readHealth } from '../../frame/health';
import { href } from '../../router';
import {
  Button, Code, type Column, Count, Duration, ErrorBox, Facts, Notice, Page, Section, Skeleton, State, Table, Time, toast, tookColumn,
} from '../../ui';

type Check = Schema<'HealthCheck'>;
const columns: Column<Check>[] = [
  { key: 'name', label: 'Part', cell: (one) => partName(one.name) },
  { key: 'health', label: 'State', cell: (one) => <State state={one.health} />, narrow: 'side' },
  { key: 'message', label: 'Words', cell: (one) => <span dir="auto">{one.message}</span>, narrow: 'sub' },
  tookColumn((one) => one.latency_us / 1000),
];

function Mode({ mode }: { mode: string }) {
  const me = useMe();
  const frozen = mode === 'frozen';
  const change = useAction(async () => {
    await api.put('/admin/system/mode', { body: { mode: frozen ? 'active' : 'frozen' } });
    invalidate('/health');
    toast(frozen ? 'Calls of tools go out again.' : 'The tool gateway is frozen: no call of a tool goes out. Models answer as before.');
  });
  return (
    <Section title="Mode of the tool gateway" note="Frozen, the tool gateway refuses every call of an agent, so that nothing is sent to other services. Models are still called and paid: to stop those, suspend their users or set a budget of 0.">
      <p><State state={mode} tone={frozen ? 'warn' : 'good'} /></p>
      {change.error && <ErrorBox error={change.error} />}
      {me?.operator_role === 'owner' && (
        <div class="form-actions"><Button kind={frozen ? 'primary' : 'danger'} busy={change.busy} onClick={() => void change.run()}>
          {frozen ? 'Let tools be called again' : 'Freeze the tool gateway'}</Button></div>
      )}
    </Section>
  );
}

export default function HealthPage() {
  const health = useQuery('/health', readHealth, { pollMs: 5000 });
  const checks = useQuery('/admin/health', async (signal) => {
    const { checks: rows, warnings: words } = await api.get('/admin/health', { signal });
    return { checks: [...rows], warnings: words };
  }, { pollMs: 15_000 });
  const { data } = health;
  const warnings = checks.data?.warnings ?? [];
  return (
    <Page title="Health" state={data && <><State state={data.status} />, up for <Duration seconds={data.uptime_s} />; looked at <Time at={data.checked_at} /></>}>
      {health.error && <ErrorBox error={health.error} onRetry={health.refresh} />}
      {!data && !health.error && <Skeleton />}
      {warnings.map((one) => <Notice key={one} tone="warn">{one}</Notice>)}
      {data && (
        <Facts facts={[
          { label: 'Version', value: <Code text={data.version} chars={40} label="version" /> },
          { label: 'Stuck', value: data.stuck.length === 0 ? 'nothing' : data.stuck.join(', '), href: href('/ops/jobs') },
          { label: 'Tokens', value: <Count n={data.tokens.total} />, href: href('/gateway') },
          { label: 'End within 15 minutes, not renewed', value: <Count n={data.tokens.expiring_soon} />, href: href('/gateway', { state: 'soon' }) },
          { label: 'Expired', value: <Count n={data.tokens.expired} />, href: href('/gateway', { state: 'expired' }) },
        ]} />
      )}
      <Section title="Parts">
        <Table label="Parts" rows={checks.data?.checks} columns={columns} idOf={(one) => one.name} error={checks.error} onRetry={checks.refresh} />
      </Section>
      {data && <Mode mode={data.mode} />}
    </Page>
  );
}
