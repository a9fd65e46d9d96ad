// What the daemon answers, as the page needs it. Members that a later version adds are ignored.

// GET /health; the same shape with 200 and 503.
export interface HealthAnswer {
  status: string;
  services: Record<string, string>;
  version?: string;
  uptime_s?: number;
  mode?: string;
  checked_at?: string;
}

// GET /api/v1/status; absent in a daemon that has no portal API.
export interface StatusAnswer {
  version?: string;
  commit?: string;
  uptime_s?: number;
}

export interface Snapshot {
  health: HealthAnswer;
  status: StatusAnswer | null;
}

// GET /api/v1/me of somebody who is signed in with a browser.
export interface Me {
  name: string;
  csrf_token: string;
}
