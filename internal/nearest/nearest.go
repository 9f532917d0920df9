// Package nearest finds the word that a person probably meant.
package nearest

import "strings"

// Of returns the word of known that a person probably meant by got, or "": at most two letters
// differ, or a third of them.
func Of(got string, known []string) string {
	best, dist := "", 1000
	for _, k := range known {
		if d := distance(strings.ToLower(got), strings.ToLower(k)); d < dist {
			best, dist = k, d
		}
	}
	limit := max(2, len(got)/3)
	if dist <= limit && dist < len(got) {
		return best
	}
	return ""
}

// distance is the optimal string alignment distance (insert, delete, replace, swap of neighbours).
func distance(a, b string) int {
	prev2 := make([]int, len(b)+1)
	prev := make([]int, len(b)+1)
	cur := make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], prev2[j-2]+1)
			}
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return prev[len(b)]
}
