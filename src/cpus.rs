//! How many CPUs this process can really use: `os.cpu_count()`, lowered by affinity and by the
//! cgroups' CPU quota.
//!
//! `-n auto` in a container with a quota of two CPUs on a host with 64 must not start 64 workers. A
//! fraction of a CPU counts as one (2.5 → 3): the workers share what there is, and rounding down
//! would leave the half unused.
//!
//! Format of the cgroup files: the kernel's `Documentation/admin-guide/cgroup-v2.rst` and
//! `scheduler/sched-bwc.rst`, `cgroups(7)`.

use std::path::{Component, Path, PathBuf};

/// Number of CPUs to plan for; at least 1.
#[must_use]
pub fn available() -> usize {
    let affinity = affinity();
    let quota = quota(&|path| std::fs::read_to_string(path).ok());
    combine(online(), affinity.len(), quota)
}

/// `online` lowered by the number of CPUs of the affinity mask (0: not known) and the quota in
/// CPUs.
fn combine(online: usize, affinity: usize, quota: Option<f64>) -> usize {
    let mut cpus = online;
    if affinity > 0 {
        cpus = cpus.min(affinity);
    }
    if let Some(quota) = quota {
        // Saturates; a quota of zero can't be set.
        cpus = cpus.min(quota.ceil() as usize);
    }
    cpus.max(1)
}

/// CPUs that are online, as `os.cpu_count()` counts them.
fn online() -> usize {
    // SAFETY: `sysconf` takes a number and has no preconditions.
    let count = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) };
    usize::try_from(count).unwrap_or(1).max(1)
}

/// Numbers of the CPUs that this thread may run on, in ascending order; empty where the system
/// doesn't tell.
#[cfg(target_os = "linux")]
#[must_use]
pub fn affinity() -> Vec<usize> {
    const BITS: usize = libc::c_ulong::BITS as usize;
    // The kernel refuses masks that are shorter than its own; its length can't be asked for. 2²⁰
    // CPUs are enough.
    let mut words = 16;
    while words * BITS <= 1 << 20 {
        let mut mask: Vec<libc::c_ulong> = vec![0; words];
        // SAFETY: the pointer is to `size_of_val(mask)` writable bytes, aligned for the words that
        // the kernel writes; pid 0 is the calling thread.
        let status = unsafe {
            libc::sched_getaffinity(0, size_of_val(mask.as_slice()), mask.as_mut_ptr().cast())
        };
        if status == 0 {
            return (0..words * BITS)
                .filter(|cpu| mask[cpu / BITS] >> (cpu % BITS) & 1 == 1)
                .collect();
        }
        words *= 2;
    }
    Vec::new()
}

/// Numbers of the CPUs that this thread may run on: not known on this system.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn affinity() -> Vec<usize> {
    Vec::new()
}

/// The smallest CPU quota of this process's cgroups and their ancestors, in CPUs.
fn quota(read: &dyn Fn(&Path) -> Option<String>) -> Option<f64> {
    let memberships = read(Path::new("/proc/self/cgroup"))?;
    let mounts = parse_mounts(&read(Path::new("/proc/self/mountinfo"))?);
    parse_memberships(&memberships)
        .into_iter()
        .filter_map(|(version, group)| {
            let mount = mounts.iter().find(|mount| mount.version == version)?;
            smallest_quota(mount, &group, read)
        })
        .min_by(f64::total_cmp)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    /// The `cpu` controller of a version 1 hierarchy.
    V1,
    V2,
}

/// Where a hierarchy that has the CPU controller is mounted.
#[derive(Debug, PartialEq, Eq)]
struct Mount {
    version: Version,
    /// The group that is seen at the mount point: not `/` in many containers.
    root: PathBuf,
    point: PathBuf,
}

/// `/proc/self/cgroup`: lines `id:controllers:path`; version 2 has id 0 and no controllers.
fn parse_memberships(text: &str) -> Vec<(Version, PathBuf)> {
    text.lines()
        .filter_map(|line| {
            let mut fields = line.splitn(3, ':');
            let (id, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
            let version = if id == "0" && controllers.is_empty() {
                Version::V2
            } else if controllers.split(',').any(|name| name == "cpu") {
                Version::V1
            } else {
                return None;
            };
            Some((version, PathBuf::from(path)))
        })
        .collect()
}

/// `/proc/self/mountinfo`: `id parent dev root point options [fields…] - type source superoptions`.
fn parse_mounts(text: &str) -> Vec<Mount> {
    text.lines()
        .filter_map(|line| {
            let (before, after) = line.split_once(" - ")?;
            let mut before = before.split(' ').skip(3);
            let (root, point) = (before.next()?, before.next()?);
            let mut after = after.split(' ');
            let (kind, options) = (after.next()?, after.nth(1)?);
            let version = match kind {
                "cgroup2" => Version::V2,
                "cgroup" if options.split(',').any(|name| name == "cpu") => Version::V1,
                _ => return None,
            };
            Some(Mount {
                version,
                root: unescape(root),
                point: unescape(point),
            })
        })
        .collect()
}

/// The kernel writes space, tab, newline and backslash in paths as `\040` and so on.
fn unescape(text: &str) -> PathBuf {
    let mut plain = text.to_owned();
    // The backslash last, or its result would be read again.
    for (code, character) in [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ] {
        plain = plain.replace(code, character);
    }
    plain.into()
}

/// Goes from `group` up to the mount point: a quota holds for everything below it.
fn smallest_quota(
    mount: &Mount,
    group: &Path,
    read: &dyn Fn(&Path) -> Option<String>,
) -> Option<f64> {
    // With a cgroup namespace the path is relative to the mount's root already; without, the root
    // is a prefix of it. A path with `..` is outside of the namespace: then only the mount point
    // itself can be seen.
    let inside = group
        .strip_prefix(&mount.root)
        .or_else(|_| group.strip_prefix("/"));
    let inside = inside
        .ok()
        .filter(|path| !path.components().any(|part| part == Component::ParentDir))
        .unwrap_or(Path::new(""));
    let folder = mount.point.join(inside);
    folder
        .ancestors()
        .take_while(|folder| folder.starts_with(&mount.point))
        .filter_map(|folder| match mount.version {
            Version::V2 => parse_cpu_max(&read(&folder.join("cpu.max"))?),
            Version::V1 => parse_cfs(
                &read(&folder.join("cpu.cfs_quota_us"))?,
                &read(&folder.join("cpu.cfs_period_us"))?,
            ),
        })
        .min_by(f64::total_cmp)
}

/// Version 2: `max 100000` or `150000 100000` (quota and period in µs), the period optional.
fn parse_cpu_max(text: &str) -> Option<f64> {
    let mut fields = text.split_whitespace();
    let quota: u64 = fields.next()?.parse().ok()?;
    let period: u64 = fields
        .next()
        .map_or(Some(100_000), |period| period.parse().ok())?;
    ratio(quota, period)
}

/// Version 1: quota −1 means none.
fn parse_cfs(quota: &str, period: &str) -> Option<f64> {
    ratio(quota.trim().parse().ok()?, period.trim().parse().ok()?)
}

fn ratio(quota: u64, period: u64) -> Option<f64> {
    (quota > 0 && period > 0).then(|| quota as f64 / period as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn quota_of(files: &[(&str, &str)]) -> Option<f64> {
        let files: HashMap<&Path, &str> = files
            .iter()
            .map(|&(path, text)| (Path::new(path), text))
            .collect();
        quota(&|path| files.get(path).map(|&text| text.to_owned()))
    }

    const V2_MOUNT: &str = "24 1 0:21 / /sys rw,nosuid - sysfs sysfs rw\n\
        35 24 0:30 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 \
        rw,nsdelegate\n";

    #[test]
    fn version_2_takes_the_smallest_of_the_group_and_its_ancestors() {
        let files = [
            ("/proc/self/cgroup", "0::/user.slice/a.scope\n"),
            ("/proc/self/mountinfo", V2_MOUNT),
            (
                "/sys/fs/cgroup/user.slice/a.scope/cpu.max",
                "400000 100000\n",
            ),
            ("/sys/fs/cgroup/user.slice/cpu.max", "150000 100000\n"),
            ("/sys/fs/cgroup/cpu.max", "max 100000\n"),
            ("/sys/fs/cpu.max", "1000 100000\n"),
        ];
        assert_eq!(quota_of(&files), Some(1.5));
        assert_eq!(quota_of(&files[..3]), Some(4.0));
        assert_eq!(quota_of(&files[..2]), None);
    }

    #[test]
    fn in_a_namespace_the_mount_point_is_the_group() {
        let own = [
            ("/proc/self/cgroup", "0::/\n"),
            ("/proc/self/mountinfo", V2_MOUNT),
            ("/sys/fs/cgroup/cpu.max", "200000 100000\n"),
        ];
        assert_eq!(quota_of(&own), Some(2.0));
        let outside = [("/proc/self/cgroup", "0::/../../other\n"), own[1], own[2]];
        assert_eq!(quota_of(&outside), Some(2.0));
    }

    #[test]
    fn version_1_in_a_container_without_a_namespace() {
        let mounts = "40 30 0:35 /docker/abc /sys/fs/cgroup/cpu\\040x rw - cgroup cgroup \
            rw,cpu,cpuacct\n\
            41 30 0:36 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
        let files = [
            (
                "/proc/self/cgroup",
                "5:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc/sub\n1:name=systemd:/docker/abc\n",
            ),
            ("/proc/self/mountinfo", mounts),
            ("/sys/fs/cgroup/cpu x/sub/cpu.cfs_quota_us", "-1\n"),
            ("/sys/fs/cgroup/cpu x/sub/cpu.cfs_period_us", "100000\n"),
            ("/sys/fs/cgroup/cpu x/cpu.cfs_quota_us", "250000\n"),
            ("/sys/fs/cgroup/cpu x/cpu.cfs_period_us", "100000\n"),
        ];
        assert_eq!(quota_of(&files), Some(2.5));
        assert_eq!(quota_of(&files[..4]), None);
    }

    #[test]
    fn a_hybrid_system_has_both() {
        let mounts = "1 0 0:1 / /c/cpu rw - cgroup cgroup rw,cpu\n2 0 0:2 / /c/unified rw - \
            cgroup2 cgroup2 rw\n";
        let files = [
            ("/proc/self/cgroup", "4:cpu:/g\n0::/g\n"),
            ("/proc/self/mountinfo", mounts),
            ("/c/cpu/g/cpu.cfs_quota_us", "300000"),
            ("/c/cpu/g/cpu.cfs_period_us", "100000"),
            ("/c/unified/g/cpu.max", "700000 100000"),
        ];
        assert_eq!(quota_of(&files), Some(3.0));
    }

    #[test]
    fn quotas_are_read_as_the_kernel_writes_them() {
        assert_eq!(parse_cpu_max("max 100000\n"), None);
        assert_eq!(parse_cpu_max("50000 100000"), Some(0.5));
        assert_eq!(parse_cpu_max("50000"), Some(0.5));
        assert_eq!(parse_cpu_max("50000 0"), None);
        assert_eq!(parse_cpu_max(""), None);
        assert_eq!(parse_cfs("-1\n", "100000\n"), None);
        assert_eq!(parse_cfs("0\n", "100000\n"), None);
    }

    #[test]
    fn the_smallest_limit_counts_and_there_is_always_one() {
        assert_eq!(combine(8, 8, None), 8);
        assert_eq!(combine(8, 3, None), 3);
        assert_eq!(combine(8, 0, None), 8);
        assert_eq!(combine(8, 8, Some(2.5)), 3);
        assert_eq!(combine(2, 8, Some(64.0)), 2);
        assert_eq!(combine(8, 8, Some(0.1)), 1);
        assert_eq!(combine(0, 0, None), 1);
    }

    #[test]
    fn this_machine_has_a_usable_cpu() {
        let affinity = affinity();
        assert!(affinity.is_sorted());
        assert_eq!(affinity.is_empty(), !cfg!(target_os = "linux"));
        assert!((1..=online()).contains(&available()));
        if !affinity.is_empty() {
            assert!(available() <= affinity.len());
        }
    }
}
