package inspect

import (
	"context"

	"deploy/internal/node"
)

// ClusterMember says whether the machine is a member of a failover cluster whose service runs: only
// then is its database loaded as HKLM\Cluster.
func ClusterMember(ctx context.Context, r node.Reader) (bool, error) {
	_, found, err := RegistryKey(ctx, r, `HKLM\Cluster`)
	return found, err
}
