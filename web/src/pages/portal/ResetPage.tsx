import type { PageProps } from '../../areas';
import { Begin } from './BeginPage';

export default function ResetPage({ query }: PageProps) {
  return <Begin way="reset" token={query.get('token') ?? ''} />;
}
