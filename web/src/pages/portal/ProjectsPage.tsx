// The organization's projects: made, renamed, made active, and deleted.
import { useState } from 'preact/hooks';
import { api, type Schema } from '../../api/client';
import { invalidate, useAction, useQuery } from '../../api/query';
import { changeMe, loadMe, mayManage, useMe } from '../../api/session';
import { useShortcut } from '../../router';
import {
  Badge, Button, Code, type Column, Confirm, counted, Dialog, Empty, Field, Form, Menu, Page, Table, Time, toast,
} from '../../ui';

type Project = Schema<'MyProject'>;
const path = '/api/v1/projects';

function ProjectDialog({ project, onClose }: { project: Project | null; onClose: () => void }) {
  return (
    <Dialog title={project ? 'Rename the project' : 'Create a project'} onClose={onClose}>
      <Form submit={project ? 'Rename' : 'Create project'} onCancel={onClose} onSubmit={async ({ name = '', slug = '' }) => {
        const body = { name, ...(slug !== '' && { slug }) };
        if (project) await api.patch('/api/v1/projects/{project_id}', { path: { project_id: project.project_id }, body });
        else await api.post(path, { body });
        invalidate(path);
        onClose();
        toast(project ? 'The project is renamed.' : `Project ${name} is made. The active project is still the one before.`);
      }}>
        <Field name="name" label="Name" required maxLength={200} {...(project && { defaultValue: project.name })} />
        <Field name="slug" label="Name in addresses" maxLength={64} spellcheck={false} pattern="[a-z0-9\-]+"
          {...(project && { defaultValue: project.slug })}
          hint={project ? 'Addresses with the name of before lead to the new one.' : 'Left empty, it is made of the name.'} />
      </Form>
    </Dialog>
  );
}

export default function ProjectsPage() {
  const me = useMe();
  const [edited, setEdited] = useState<Project | 'new' | null>(null);
  const [removed, setRemoved] = useState<Project | null>(null);
  const { data, error, refresh } = useQuery(path, (signal) => api.get(path, { signal }));
  const activate = useAction((id: string) => changeMe({ project_id: id }));
  const manages = Boolean(me && mayManage(me));
  useShortcut('c', 'Create a project', manages ? () => setEdited('new') : null);
  const columns: Column<Project>[] = [
    {
      key: 'name', label: 'Name',
      cell: (one) => <span dir="auto">{one.name}{one.project_id === me?.project_id && <> <Badge tone="info">active</Badge></>}</span>,
    },
    { key: 'slug', label: 'In addresses', cell: (one) => <code>{one.slug}</code>, narrow: 'sub' },
    { key: 'id', label: 'Id', cell: (one) => <Code text={one.project_id} />, narrow: 'hide' },
    { key: 'made', label: 'Made', align: 'right', cell: (one) => <Time at={one.created_at} />, narrow: 'side' },
    {
      key: 'change', label: '', align: 'right', narrow: 'end',
      cell: (one) => (manages || one.project_id !== me?.project_id) && (
        <Menu label={`Change ${one.name}`} button="Change" kind="quiet" align="right" items={[
          ...(one.project_id === me?.project_id ? [] : [{ label: 'Make it the active one', run: () => void activate.run(one.project_id) }]),
          ...(manages ? [
            { label: 'Rename', run: () => setEdited(one) },
            { label: 'Delete', danger: true, run: () => setRemoved(one) },
          ] : []),
        ]} />
      ),
    },
  ];
  const create = manages && <Button kind="primary" onClick={() => setEdited('new')}>Create a project</Button>;
  return (
    <Page title="Projects" action={create} state={data && <>{counted(data.projects.length, 'project')} in this organization</>}>
      <Table label="Projects" rows={data?.projects} columns={columns} idOf={(one) => one.project_id} error={error ?? activate.error}
        onRetry={refresh} empty={<Empty action={create} command="kvcs project create research">
          A project holds artifacts and the keys that reach them.</Empty>} />
      {edited && <ProjectDialog project={edited === 'new' ? null : edited} onClose={() => setEdited(null)} />}
      {removed && (
        <Confirm title={`Delete project ${removed.name}`} typed={removed.slug} action="Delete project" onClose={() => setRemoved(null)}
          onConfirm={async () => {
            await api.delete('/api/v1/organizations/{org_id}/projects/{project_id}', {
              path: { org_id: removed.organization_id, project_id: removed.project_id }, query: { force: 'true' },
            });
            invalidate(path);
            // The session goes on in another one.
            if (removed.project_id === me?.project_id) await loadMe();
            toast(`Project ${removed.name} is deleted.`);
          }}>
          Its artifacts, share links and keys go with it. This cannot be undone.
        </Confirm>
      )}
    </Page>
  );
}
