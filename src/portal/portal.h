// The portal: how people sign in, whom an organization is shared with, and what it pays for. It is
// a door of its own beside artifacts, gateway and ai; what those need of it, such as the limits of
// a plan, App passes to them as functions.
//
// Records that a request may need (people, memberships, sessions) are identity's. The parts here:
//   passwords.h     argon2id on threads of its own, and which passwords are refused
//   sign_in.h       the setup link, local accounts, sessions as they begin and end
//   sign_in_api.h   /auth/*
//   me_api.h        /api/v1/me: who is calling, what is active, the caller's sessions
//   places_api.h    organizations and projects as people see them
//   invitations.h   links by which somebody joins an organization
//   team_api.h      members and invitations over HTTP
//   people_api.h    what operators do with people, under /admin
#pragma once
#include "identity/sessions.h"

namespace kvcs::portal {

struct PortalConfig {
  SessionLimits sessions;
};

}  // namespace kvcs::portal
