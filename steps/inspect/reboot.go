package inspect

import (
	"context"
	"errors"
	"fmt"

	"deploy/internal/node"
)

const (
	keyCBS     = `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\RebootPending`
	keyUpdate  = `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate\Auto Update\RebootRequired`
	keySession = `HKLM\SYSTEM\CurrentControlSet\Control\Session Manager`
	keyHotfix  = `HKLM\SOFTWARE\Microsoft\Updates`
	keyHotfix2 = `HKLM\SOFTWARE\Microsoft\Updates\UpdateExeVolatile`
	keyActive  = `HKLM\SYSTEM\CurrentControlSet\Control\ComputerName\ActiveComputerName`
	keyWanted  = `HKLM\SYSTEM\CurrentControlSet\Control\ComputerName\ComputerName`
)

// RebootReads are the queries of PendingReboot.
func RebootReads() []node.Query {
	return []node.Query{node.Registry{Key: keyCBS}, node.Registry{Key: keyUpdate}, node.Registry{Key: keySession},
		node.Registry{Key: keyHotfix}, node.Registry{Key: keyHotfix2}, node.Registry{Key: keyActive},
		node.Registry{Key: keyWanted}}
}

// PendingReboot tells why a restart of the machine is due: "servicing", "update", "hotfix",
// "rename". Files that wait to be moved ("files") come in weak, since many programs leave such an
// entry behind without need. Sources: DSC xPendingReboot and its kin as gathered in the project's
// notes on Windows. Windows Server 2003 has no servicing key, so no reason there is not a proof. On
// Linux the reasons are those of RestartDue.
func PendingReboot(ctx context.Context, r node.Reader) (reasons, weak []string, err error) {
	if r.Facts().OS == "linux" {
		d, err := RestartDue(ctx, r)
		return d.Reasons, nil, err
	}
	has := func(key string) (bool, error) {
		_, err := r.Query(ctx, node.Registry{Key: key})
		if errors.Is(err, node.ErrNotFound) {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("cannot tell whether a restart is due: %w", err)
		}
		return true, nil
	}
	for _, k := range []struct{ key, why string }{{keyCBS, "servicing"}, {keyUpdate, "update"}} {
		there, err := has(k.key)
		if err != nil {
			return nil, nil, err
		}
		if there {
			reasons = append(reasons, k.why)
		}
	}
	files, found, err := RegistryValue(ctx, r, keySession, "PendingFileRenameOperations")
	if err != nil {
		return nil, nil, err
	}
	if found && files.Text() != "" {
		weak = append(weak, "files")
	}
	hot, _, err := RegistryValue(ctx, r, keyHotfix, "UpdateExeVolatile")
	if err != nil {
		return nil, nil, err
	}
	flags, _, err := RegistryValue(ctx, r, keyHotfix2, "Flags")
	if err != nil {
		return nil, nil, err
	}
	if (hot.Text() != "" && hot.Text() != "0") || (flags.Text() != "" && flags.Text() != "0") {
		reasons = append(reasons, "hotfix")
	}
	active, foundA, err := RegistryValue(ctx, r, keyActive, "ComputerName")
	if err != nil {
		return nil, nil, err
	}
	wanted, foundW, err := RegistryValue(ctx, r, keyWanted, "ComputerName")
	if err != nil {
		return nil, nil, err
	}
	if foundA && foundW && active.Text() != wanted.Text() {
		reasons = append(reasons, "rename")
	}
	return reasons, weak, nil
}
