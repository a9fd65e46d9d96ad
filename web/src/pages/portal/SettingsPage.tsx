// The organization's names, and its end: asked for, it goes in seven days, and can be taken back.
import { useState } from 'preact/hooks';
import { api } from '../../api/client';
import { invalidate, useAction, useQuery } from '../../api/query';
import { changeMe, isOwner, loadMe, useMe } from '../../api/session';
import {
  Button, Code, Confirm, Dialog, Empty, ErrorBox, Facts, Field, Form, Notice, Page, Section, Skeleton, State, Time, toast,
} from '../../ui';

const path = '/api/v1/organizations';

// What is to be done about what was paid for an organization that was taken back.
const ofSubscription = {
  live: '',
  ending: ' Its subscription is being ended: look under Billing in a while.',
  ended: ' Its subscription has ended; begin a new one under Billing.',
};

function CreateDialog({ onClose }: { onClose: () => void }) {
  return (
    <Dialog title="Create an organization" onClose={onClose}>
      <Form submit="Create organization" onCancel={onClose} onSubmit={async ({ name = '', slug = '' }) => {
        const made = await api.post(path, { body: { name, ...(slug !== '' && { slug }) } });
        await changeMe({ organization_id: made.organization_id });
        onClose();
        toast(`${name} is made, and the active organization. You own it.`);
      }}>
        <Field name="name" label="Name" required maxLength={200} />
        <Field name="slug" label="Name in addresses" maxLength={64} spellcheck={false} pattern="[a-z0-9\-]+"
          hint="Left empty, it is made of the name." />
      </Form>
    </Dialog>
  );
}

export default function SettingsPage() {
  const me = useMe();
  const [creating, setCreating] = useState(false);
  const [ending, setEnding] = useState(false);
  const { data, error, refresh } = useQuery(path, (signal) => api.get(path, { signal }));
  const place = data?.organizations.find((one) => one.organization_id === me?.organization_id);
  const reload = async () => {
    invalidate(path);
    await loadMe();
  };
  const restore = useAction(async () => {
    if (!place) return;
    const kept = await api.post('/api/v1/organizations/{org_id}/restore', { path: { org_id: place.organization_id } });
    await reload();
    toast(`${place.name} stays.${ofSubscription[kept.subscription ?? 'live']}`);
  });
  if (error && !data) return <Page title="Settings"><ErrorBox error={error} onRetry={refresh} /></Page>;
  if (!me || !data) return <Page title="Settings"><Skeleton lines={4} /></Page>;
  const create = <Button onClick={() => setCreating(true)}>Create an organization</Button>;
  if (!place) {
    return (
      <Page title="Settings">
        <Empty action={create}>You are in no organization, or in none that works. Artifacts, keys and people belong to one.</Empty>
        {creating && <CreateDialog onClose={() => setCreating(false)} />}
      </Page>
    );
  }
  return (
    <Page title="Settings" more={create} state={<><bdi>{place.name}</bdi>, made <Time at={place.created_at} /></>}>
      {place.deletion_at !== undefined && (
        <Notice tone="bad" action={isOwner(me) && <Button busy={restore.busy} onClick={() => void restore.run()}>Take it back</Button>}>
          The organization works no longer, and goes <Time at={place.deletion_at} /> with all that it has.
        </Notice>
      )}
      {restore.error && <ErrorBox error={restore.error} />}
      <Facts facts={[
        { label: 'State', value: <State state={place.status} /> },
        { label: 'Your role', value: place.role, href: '#/organization' },
        { label: 'Id', value: <Code text={place.organization_id} chars={20} /> },
      ]} />
      <Section title="Names" note="The name in addresses is part of public URLs; those with a name of before lead to the new one.">
        <Form key={place.slug + place.name} submit="Save" onSubmit={async ({ name = '', slug = '' }) => {
          await api.patch('/api/v1/organizations/{org_id}', { path: { org_id: place.organization_id }, body: { name, slug } });
          await reload();
          toast('Saved.');
        }}>
          <Field name="name" label="Name" required maxLength={200} defaultValue={place.name} />
          <Field name="slug" label="Name in addresses" required maxLength={64} spellcheck={false} pattern="[a-z0-9\-]+" defaultValue={place.slug} />
        </Form>
      </Section>
      {isOwner(me) && place.deletion_at === undefined && (
        <Section title="Delete the organization"
          note="It stops working at once, with its keys and its subscription; seven days later its artifacts, people's roles and accounts go. Until then an owner can take it back.">
          <div class="form-actions"><Button kind="danger" onClick={() => setEnding(true)}>Delete the organization</Button></div>
        </Section>
      )}
      {creating && <CreateDialog onClose={() => setCreating(false)} />}
      {ending && (
        <Confirm title={`Delete ${place.name}`} typed={place.slug} action="Delete the organization" onClose={() => setEnding(false)}
          onConfirm={async () => {
            await api.delete('/api/v1/organizations/{org_id}', { path: { org_id: place.organization_id } });
            await reload();
          }}>
          Everybody in it loses access now. You can take it back for seven days.
        </Confirm>
      )}
    </Page>
  );
}
