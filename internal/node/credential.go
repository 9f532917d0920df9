package node

import "deploy/internal/secret"

// Credential is an account that a job or a cmdlet runs as.
type Credential struct {
	User     string // DOMAIN\name or name@domain; a user name on Linux
	Password secret.Value
}
