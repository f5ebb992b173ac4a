//! What a child starts with: exactly what its spec says, and a known base.

#[path = "support/world.rs"]
mod world;

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    os::unix::{
        ffi::{OsStrExt as _, OsStringExt as _},
        fs::PermissionsExt as _,
    },
    path::PathBuf,
};

use callboard::{ServerSpec, Session};
use rustix::process::{Pid, getpgid};
use world::World;

const BASE: [&str; 7] = ["PATH", "HOME", "LANG", "TERM", "TMPDIR", "USER", "SHELL"];

fn pid(session: &Session, server: &str) -> u32 {
    session.server(server).unwrap().status().pid.unwrap()
}

fn proc(session: &Session, file: &str) -> PathBuf {
    format!("/proc/{}/{file}", pid(session, "a")).into()
}

/// The strings of a file in which each ends with a NUL.
fn strings(path: PathBuf) -> Vec<OsString> {
    let bytes = std::fs::read(path).unwrap();
    let bytes = bytes.strip_suffix(b"\0").unwrap();
    bytes.split(|byte| *byte == 0).map(|one| OsString::from_vec(one.to_vec())).collect()
}

fn environment(session: &Session) -> BTreeMap<OsString, OsString> {
    let split = |entry: OsString| {
        let at = entry.as_bytes().iter().position(|byte| *byte == b'=').unwrap();
        let (name, value) = entry.as_bytes().split_at(at);
        (OsStr::from_bytes(name).to_owned(), OsStr::from_bytes(&value[1..]).to_owned())
    };
    let all = strings(proc(session, "environ"));
    let count = all.len();
    let map: BTreeMap<_, _> = all.into_iter().map(split).collect();
    assert_eq!(map.len(), count, "no name stands twice");
    map
}

/// What every child gets: the base set of this process's environment, and the mark of the world.
fn base(world: &World, session: &Session) -> BTreeMap<OsString, OsString> {
    let is_base =
        |name: &OsStr| BASE.iter().any(|base| *base == name) || name.as_bytes().starts_with(b"LC_");
    let mut base: BTreeMap<_, _> = std::env::vars_os().filter(|(name, _)| is_base(name)).collect();
    assert!(world.processes().contains(&pid(session, "a").cast_signed()));
    let mark = OsString::from("CALLBOARD_TEST_WORLD");
    let value = environment(session)[&mark].clone();
    base.insert(mark, value);
    base
}

#[test]
fn the_environment_is_the_base_set_and_nothing_else() {
    world::run(async |world| {
        assert!(
            std::env::var_os("CARGO_MANIFEST_DIR").is_some(),
            "there is something to leave out"
        );
        let session = world.open_one(world.echo()).await;
        assert_eq!(environment(&session), base(&world, &session));
    });
}

#[test]
fn what_a_spec_names_is_added_to_the_environment() {
    world::run(async |world| {
        let odd = OsString::from_vec(b"a=b \xff\n'\"$HOME".to_vec());
        let stdio = world
            .echo()
            .env("CARGO_MANIFEST_DIR")
            .env("CALLBOARD_TEST_IS_NOT_SET")
            .env_literal("HOME", "/elsewhere")
            .env_literal("TWICE", "first")
            .env_literal("TWICE", "last")
            .env_literal("EMPTY", "")
            .env_literal("ODD", &odd);
        let session = world.open_one(stdio).await;
        let mut expected = base(&world, &session);
        let passed = std::env::var_os("CARGO_MANIFEST_DIR").unwrap();
        let named: [(&str, OsString); 5] = [
            ("CARGO_MANIFEST_DIR", passed),
            ("HOME", "/elsewhere".into()),
            ("TWICE", "last".into()),
            ("EMPTY", "".into()),
            ("ODD", odd),
        ];
        expected.extend(named.map(|(name, value)| (name.into(), value)));
        assert_eq!(environment(&session), expected);
    });
}

#[test]
fn arguments_arrive_as_they_were_given() {
    world::run(async |world| {
        let odd = OsString::from_vec(b"\xff\xfe".to_vec());
        let given = ["", "a b", "'\"$HOME`id`;&|", "*", "é\n\t\\", "--", "-x=y"];
        let session = world.open_one(world.echo().args(given).arg(&odd)).await;
        let line = strings(proc(&session, "cmdline"));
        assert_eq!(line[0], world::echo_server());
        assert_eq!(line[1], "--echo-child");
        let given: Vec<OsString> = given.iter().map(OsString::from).chain([odd]).collect();
        assert_eq!(line[2..], given);
    });
}

#[test]
fn the_working_directory_is_the_declared_one_or_that_of_the_host() {
    world::run(async |world| {
        let odd = OsString::from_vec("a b'$\"é\n".as_bytes().to_vec());
        let declared = world.folder().join(odd);
        std::fs::create_dir(&declared).unwrap();
        let cwd = |session: &Session| std::fs::read_link(proc(session, "cwd")).unwrap();
        let session = world.open_one(world.echo().cwd(&declared)).await;
        assert_eq!(cwd(&session), declared.canonicalize().unwrap());
        let session = world.open_one(world.echo()).await;
        assert_eq!(cwd(&session), std::env::current_dir().unwrap());
    });
}

#[test]
fn a_command_is_looked_up_on_the_path_of_the_child() {
    world::run(async |world| {
        let folder = world.folder().join("bin");
        std::fs::create_dir(&folder).unwrap();
        std::os::unix::fs::symlink(world::echo_server(), folder.join("a-server")).unwrap();
        let named = world.stdio("a-server").arg("--echo-child");
        world.open_one(named.clone().env_literal("PATH", &folder)).await;
        let relative = world.stdio("bin/a-server").arg("--echo-child").cwd(world.folder());
        world.open_one(relative).await;
        let session = world.open([ServerSpec::new("a", named)]).await;
        let error = session.server("a").unwrap().status().last_error.unwrap().to_string();
        let path = std::env::var("PATH").unwrap();
        assert!(error.contains("a-server") && error.contains(&path), "{error}");
    });
}

/// A folder of the world, and a relative path to it from here that leads nowhere from there.
fn folder_from_here(world: &World) -> (PathBuf, PathBuf) {
    let here = std::env::current_dir().unwrap();
    let depth = here.components().count();
    let folder = world.folder().join("deep/".repeat(depth));
    std::fs::create_dir_all(&folder).unwrap();
    let folder = folder.canonicalize().unwrap();
    let up: PathBuf = here.components().skip(1).map(|_| "..").collect();
    let relative = up.join(folder.strip_prefix("/").unwrap());
    assert!(relative.is_dir() && !folder.join(&relative).exists(), "{}", relative.display());
    (folder, relative)
}

#[test]
fn a_relative_command_is_looked_up_from_a_relative_working_directory() {
    world::run(async |world| {
        let (folder, relative) = folder_from_here(&world);
        let script = folder.join("x.sh");
        let line = format!("#!/bin/sh\nexec {} --echo-child\n", world::echo_server().display());
        std::fs::write(&script, line).unwrap();
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
        for cwd in [&relative, &folder] {
            world.open_one(world.stdio("./x.sh").cwd(cwd)).await;
        }
        world.open_one(world.stdio(relative.join("x.sh"))).await;
    });
}

/// The descriptors that this process was started with and that all its children inherit.
fn inherited() -> Vec<String> {
    const CLOSE_ON_EXEC: u32 = 0o2_000_000;
    let entries = std::fs::read_dir("/proc/self/fdinfo").unwrap().map(|entry| entry.unwrap());
    let inherits = |entry: &std::fs::DirEntry| {
        let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
        let flags = text.lines().find_map(|line| line.strip_prefix("flags:"));
        flags
            .is_some_and(|flags| u32::from_str_radix(flags.trim(), 8).unwrap() & CLOSE_ON_EXEC == 0)
    };
    entries.filter(inherits).map(|entry| entry.file_name().into_string().unwrap()).collect()
}

#[test]
fn a_child_has_no_descriptors_but_its_three_pipes() {
    world::run(async |world| {
        let spec = |n| ServerSpec::new(format!("s{n}"), world.hostile("normal"));
        let session = world.open((0..4).map(spec)).await;
        let inherited = inherited();
        for server in session.servers() {
            let output = session.call(format!("{}.inspect", server.name()), ()).await.unwrap();
            let seen: serde_json::Value = serde_json::from_str(&output.text()).unwrap();
            let open = seen["fds"].as_object().unwrap();
            let own = |at: &&String| at.len() == 1 || !inherited.contains(at);
            assert_eq!(open.keys().filter(own).collect::<Vec<_>>(), ["0", "1", "2"], "{seen}");
            for pipe in ["0", "1", "2"] {
                assert!(open[pipe].as_str().unwrap().starts_with("pipe:"), "{seen}");
            }
        }
    });
}

#[test]
fn a_child_leads_a_process_group_of_its_own() {
    world::run(async |world| {
        let spec = |name| ServerSpec::new(name, world.echo());
        let session = world.open([spec("a"), spec("b")]).await;
        for server in ["a", "b"] {
            let pid = Pid::from_raw(pid(&session, server).cast_signed()).unwrap();
            assert_eq!(getpgid(Some(pid)).unwrap(), pid);
        }
    });
}
