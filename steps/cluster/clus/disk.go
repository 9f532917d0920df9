package clus

import (
	"context"
	"fmt"
	"strings"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/steps/inspect"
)

// Disk is a disk as one node sees it. Signature is that of an MBR disk, GUID that of a GPT disk.
type Disk struct {
	Serial    string
	Number    int64
	Signature int64
	GUID      string
}

// FindDisk finds a disk of the node by its serial number.
func FindDisk(ctx context.Context, r node.Reader, serial string) (Disk, error) {
	list, err := disks(ctx, r)
	if err != nil {
		return Disk{}, fmt.Errorf("cannot list the disks of %s: %w", r.Facts().Computer, err)
	}
	var found []Disk
	for _, d := range list {
		if strings.EqualFold(d.Serial, strings.TrimSpace(serial)) {
			found = append(found, d)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return Disk{}, hint.Wrap(fmt.Errorf("cannot find a disk with serial number %q on %s: %w", serial, r.Facts().Computer,
			node.ErrNotFound),
			"is the disk presented to this node? compare the serial numbers that the storage shows")
	}
	return Disk{}, hint.Wrap(fmt.Errorf("cannot tell disk %q on %s: %d disks show that serial number", serial,
		r.Facts().Computer, len(found)),
		"are there several paths to the disk without multipath software?")
}

func disks(ctx context.Context, r node.Reader) ([]Disk, error) {
	var out []Disk
	rel := r.Facts().Release
	if rel.AtLeast(node.WS2012) {
		rows, err := r.Query(ctx, node.Cmdlet{Name: "Get-Disk", Load: "Storage",
			Select: []string{"Number", "SerialNumber", "Signature", "Guid"}})
		for _, row := range rows {
			out = append(out, Disk{strings.TrimSpace(row.String("SerialNumber")), row.Int("Number"), row.Int("Signature"),
				row.String("Guid")})
		}
		return out, err
	}
	serials := map[int64]string{}
	props := []string{"Index", "Signature", "SerialNumber"}
	if rel == node.WS2003 {
		// Win32_DiskDrive has no serial number before 2008; Win32_PhysicalMedia has, by a tag that ends
		// in the disk number.
		props = props[:2]
		rows, err := r.Query(ctx, node.WMI{Namespace: inspect.CIMv2, Class: "Win32_PhysicalMedia",
			Props: []string{"Tag", "SerialNumber"}})
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			var n int64
			if _, err := fmt.Sscanf(strings.ToUpper(row.String("Tag")), `\\.\PHYSICALDRIVE%d`, &n); err == nil {
				serials[n] = row.String("SerialNumber")
			}
		}
	}
	rows, err := r.Query(ctx, node.WMI{Namespace: inspect.CIMv2, Class: "Win32_DiskDrive", Props: props})
	for _, row := range rows {
		s := row.String("SerialNumber")
		if rel == node.WS2003 {
			s = serials[row.Int("Index")]
		}
		out = append(out, Disk{Serial: strings.TrimSpace(s), Number: row.Int("Index"), Signature: row.Int("Signature")})
	}
	return out, err
}

// Same says that a cluster's record (signature or GUID) means this disk.
func (d Disk) Same(signature int64, guid string) bool {
	if d.Signature != 0 && uint32(signature) == uint32(d.Signature) {
		return true
	}
	return d.GUID != "" && strings.EqualFold(strings.Trim(guid, "{}"), strings.Trim(d.GUID, "{}"))
}

// DiskResource finds the Physical Disk resource of a disk.
func DiskResource(ctx context.Context, v Reader, r node.Reader, d Disk) (Resource, bool, error) {
	all, err := v.Resources(ctx)
	if err != nil {
		return Resource{}, false, err
	}
	for _, x := range all {
		if !strings.EqualFold(x.Type, TypeDisk) {
			continue
		}
		priv := x.Private
		if r.Facts().Release == node.WS2003 {
			if priv, err = v.Properties(ctx, Object{Resource: x.Name, Private: true}, []string{"Signature"}); err != nil {
				return Resource{}, false, err
			}
		}
		sig := priv.Int("DiskSignature")
		if sig == 0 {
			sig = priv.Int("Signature")
		}
		if d.Same(sig, priv.String("DiskIdGuid")) {
			return x, true, nil
		}
	}
	return Resource{}, false, nil
}
