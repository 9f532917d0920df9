package storage

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"deploy/internal/node"
	"deploy/steps/inspect"
)

const (
	clusterDisk = "MSCluster_Disk"
	clusterNS   = `root\MSCluster`
)

var clusterProps = []string{"Signature", "GptGuid"}

// clusterCalls declares what clustered asks for.
func clusterCalls() []node.Call {
	return []node.Call{{WMI: clusterNS + ":" + clusterDisk, Props: clusterProps,
		On: inspect.Between(node.WS2008, node.WS2008R2)}}
}

// clustered says whether a running failover cluster owns the disk. A node that does not hold the
// reservation sees nothing of what is on such a disk, so nothing may be concluded from an empty
// look. It is asked only when a disk shows no volume.
func clustered(ctx context.Context, r node.Reader, d disk) (bool, error) {
	if modern(r.Facts()) {
		return d.Clustered, nil
	}
	member, err := inspect.ClusterMember(ctx, r)
	if err != nil || !member {
		return false, err
	}
	if r.Facts().Release == node.WS2003 {
		return clustered2003(ctx, r, d)
	}
	rows, err := r.Query(ctx, node.WMI{Namespace: clusterNS, Class: clusterDisk, Props: clusterProps})
	if err != nil {
		return false, fmt.Errorf("cannot tell whether disk %s is the cluster's: %w", d.Serial, err)
	}
	for _, row := range rows {
		if d.Signature != 0 && uint32(row.Int("Signature")) == uint32(d.Signature) {
			return true, nil
		}
	}
	return false, nil
}

// clustered2003 looks for the signature in the parameters of the cluster's resources: that release
// has no WMI class for its disks.
func clustered2003(ctx context.Context, r node.Reader, d disk) (bool, error) {
	const resources = `HKLM\Cluster\Resources`
	keys, err := r.Query(ctx, node.RegistryKeys{Key: resources})
	if errors.Is(err, node.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("cannot tell whether disk %s is the cluster's: %w", d.Serial, err)
	}
	for _, k := range keys {
		v, found, err := inspect.RegistryValue(ctx, r, resources+`\`+strings.TrimSpace(k.String("name"))+`\Parameters`,
			"Signature")
		if err != nil {
			return false, err
		}
		if n, ok := v.Data.(int64); found && ok && d.Signature != 0 && uint32(n) == uint32(d.Signature) {
			return true, nil
		}
	}
	return false, nil
}
