// What a tenant's agents are to do when: a text that agents read, kept here and changed by one at a time.
import { api } from '../../api/client';
import { invalidate, useQuery } from '../../api/query';
import { mayOperate, useMe } from '../../api/session';
import { Command, ErrorBox, FilterBar, Form, Notice, Page, Skeleton, TextField, toast } from '../../ui';
import { NoTenant, TenantBar } from './TenantBar';
import { useTenants } from './tenants';

const path = '/admin/agent-schedules/{tenant}';

function Editor({ tenant }: { tenant: string }) {
  const me = useMe();
  const key = `/admin/agent-schedules/${tenant}`;
  const { data, error, refresh } = useQuery(key, (signal) => api.ask<unknown>('get', path, { path: { tenant }, signal }));
  if (error && !data) return <ErrorBox error={error} onRetry={refresh} />;
  if (!data) return <Skeleton lines={6} />;
  const text = JSON.stringify(data.data, null, 2);
  if (!me || !mayOperate(me)) return <pre class="answer" tabIndex={0} aria-label="Schedules"><code>{text}</code></pre>;
  return (
    <Form key={text} submit="Save" onSubmit={async ({ schedules = '' }) => {
      let body: unknown;
      try {
        body = JSON.parse(schedules);
      } catch (wrong) {
        throw new Error(`This is not JSON: ${wrong instanceof Error ? wrong.message : String(wrong)}`);
      }
      await api.ask('put', path, { path: { tenant }, body, ...(data.etag !== '' && { ifMatch: data.etag }) });
      invalidate(key);
      toast('Saved.');
    }}>
      <TextField class="code" name="schedules" label="Schedules, JSON" rows={18} spellcheck={false} defaultValue={text}
        hint="If somebody else saved meanwhile, it is refused and nothing typed is lost." />
    </Form>
  );
}

export default function SchedulesPage() {
  const tenants = useTenants();
  if (tenants.error && !tenants.all) return <Page title="Schedules"><ErrorBox error={tenants.error} onRetry={tenants.refresh} /></Page>;
  if (!tenants.all) return <Page title="Schedules"><Skeleton /></Page>;
  if (tenants.all.length === 0) return <Page title="Schedules"><NoTenant /></Page>;
  return (
    <Page title="Schedules" state={`When agents of ${tenants.chosen} do what`}>
      <FilterBar><TenantBar tenants={tenants} /></FilterBar>
      <Editor key={tenants.chosen} tenant={tenants.chosen} />
      <Notice>Agents read this by the API and run by themselves; the daemon starts none.</Notice>
      <Command label="Read the schedules" lines={[`kvcs gateway schedule list ${tenants.chosen}`]} />
    </Page>
  );
}
