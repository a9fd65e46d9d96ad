// Which organization and project the page works in, at the top left.
import { api, wordsOf } from '../api/client';
import { useQuery } from '../api/query';
import { changeMe, type Changes, type Me } from '../api/session';
import { href } from '../router';
import { Menu, type MenuItem, toast } from '../ui';

const change = async (what: Changes) => {
  try {
    await changeMe(what);
  } catch (error) {
    toast(wordsOf(error), { tone: 'bad' });
  }
};

export function PlaceSwitch({ me }: { me: Me }) {
  const { data } = useQuery(
    me.organization_id ? `/api/v1/projects@${me.organization_id}` : null,
    (signal) => api.get('/api/v1/projects', { signal }),
  );
  const places = me.organizations ?? [];
  const place = places.find((one) => one.organization_id === me.organization_id);
  const project = data?.projects.find((one) => one.project_id === me.project_id);
  const items: MenuItem[] = [
    { heading: true, label: 'Organization' },
    ...places.map((one): MenuItem => ({
      label: one.status === 'suspended' ? `${one.name} (suspended)` : one.name,
      chosen: one.organization_id === me.organization_id,
      run: () => void change({ organization_id: one.organization_id }),
    })),
    { heading: true, label: 'Project' },
    ...(data?.projects ?? []).map((one): MenuItem => ({
      label: one.name,
      chosen: one.project_id === me.project_id,
      run: () => void change({ project_id: one.project_id }),
    })),
    { label: 'All projects …', href: href('/organization/projects') },
  ];
  const words = place ? `${place.name}${project ? ` / ${project.name}` : ''}` : 'No organization';
  return (
    <div class="places">
      <Menu
        label={`Organization and project: ${words}`}
        kind="quiet"
        items={items}
        button={
          <span class="place-name" dir="auto">
            {words}
          </span>
        }
      />
    </div>
  );
}
