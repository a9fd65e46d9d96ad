// Changes of one artifact: its name, description and tags; its project.
import { api } from '../../api/client';
import { href } from '../../router';
import { Dialog, Field, Form, Loaded, Select, TextField, toast } from '../../ui';
import { onePath, readAgain } from './change';
import { useProjectList } from './projects';
import { inWords } from './refusal';
import { type Artifact, parseTags } from './words';

export function EditDialog({ one, onClose }: { one: Artifact; onClose: () => void }) {
  const path = { id: one.artifact_id };
  const save = async ({ name = '', description = '', tags = '' }: Record<string, string>) => {
    await inWords(api.patch(onePath, { path, body: { name, description, tags: parseTags(tags) } }));
    readAgain();
    onClose();
    const before = { name: one.name, description: one.description, tags: one.tags };
    const undo = async () => {
      await inWords(api.patch(onePath, { path, body: before }));
      readAgain();
    };
    toast('Saved.', { undo });
  };
  return (
    <Dialog title={`Edit ${one.name}`} onClose={onClose}>
      <Form submit="Save" onSubmit={save} onCancel={onClose}>
        <Field name="name" label="Name" required maxLength={255} defaultValue={one.name} />
        <TextField
          name="description"
          label="Description"
          maxLength={2000}
          defaultValue={one.description}
          dir="auto"
        />
        <Field
          name="tags"
          label="Tags"
          defaultValue={one.tags.join(', ')}
          hint="Separated by commas; at most 20. Artifacts are found by them."
        />
      </Form>
    </Dialog>
  );
}

export function MoveDialog({ one, onClose }: { one: Artifact; onClose: () => void }) {
  const list = useProjectList();
  const projects = list.data?.projects ?? [];
  const others = projects.filter((project) => project.slug !== one.project);
  const here = projects.find((project) => project.slug === one.project);
  const moveTo = async (project_id: string) => {
    const path = { id: one.artifact_id };
    await inWords(api.post('/api/v1/artifacts/{id}/move', { path, body: { project_id } }));
    readAgain();
  };
  const move = async ({ project_id = '' }: Record<string, string>) => {
    await moveTo(project_id);
    onClose();
    const name = others.find((project) => project.project_id === project_id)?.name ?? '';
    toast(`Moved to ${name}.`, here ? { undo: () => moveTo(here.project_id) } : {});
  };
  return (
    <Dialog title={`Move ${one.name}`} onClose={onClose}>
      {!list.data ? (
        <Loaded query={list}>{() => null}</Loaded>
      ) : others.length === 0 ? (
        <p>
          The organization has no other project.{' '}
          <a href={href('/organization/projects')}>Its projects</a>
        </p>
      ) : (
        <Form submit="Move" onCancel={onClose} onSubmit={move}>
          <Select
            name="project_id"
            label="To the project"
            value={others[0]?.project_id ?? ''}
            choices={others.map((project) => ({ value: project.project_id, label: project.name }))}
          />
          <p class="muted">Public addresses of before lead on to the new place.</p>
        </Form>
      )}
    </Dialog>
  );
}
