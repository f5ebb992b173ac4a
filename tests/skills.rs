//! C33: skills of a real server, listed without being read, and verified at each read.
#![cfg(feature = "skills")]

#[path = "support/world.rs"]
mod world;

use std::time::Duration;

use callboard::ServerSpec;

const TEXT: &str = "---\nname: count\ndescription: Counts things\n---\n\nCount them.\n";

#[test]
fn skills_are_listed_and_verified_at_each_read() {
    world::run(async |world| {
        let folder = world.folder().join("skills/count");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("SKILL.md"), TEXT).unwrap();
        std::fs::write(folder.join("more.txt"), "one\n").unwrap();
        let script = world::root().join("tests/servers/skills.py");
        let stdio = world.python("python").arg(script).arg(world.folder().join("skills"));
        let spec = ServerSpec::new("a", stdio.eof_grace(Duration::from_secs(5))).required();
        let session = world.open([spec]).await;
        let server = session.server("a").unwrap();
        let skills = server.skills().await.unwrap();
        let [skill] = skills.as_slice() else { panic!("{skills:?}") };
        assert_eq!(skill.described().name(), "count");
        assert_eq!(skill.digests().len(), 2);
        assert_eq!(skill.load().await.unwrap(), TEXT);
        let (more, _) = *skill.digests().iter().find(|(uri, _)| uri.ends_with("more.txt")).unwrap();
        assert_eq!(skill.file(more).await.unwrap(), b"one\n");
        let again = server.skill(skill.uri()).await.unwrap();
        assert_eq!(again.digests(), skill.digests());
        let stranger = skill.file("skill://other/SKILL.md").await.unwrap_err();
        assert_eq!(stranger.kind(), "invalid_response", "{stranger}");
        // What changes behind its description is not taken.
        std::fs::write(folder.join("more.txt"), "two\n").unwrap();
        let error = skill.file(more).await.unwrap_err();
        assert!(error.to_string().contains("digest"), "{error}");
        std::fs::write(folder.join("SKILL.md"), TEXT.replace("Counts", "Steals")).unwrap();
        let error = skill.load().await.unwrap_err();
        assert!(error.to_string().contains("digest"), "{error}");
        assert!(server.skill("skill://none/SKILL.md").await.is_err());
        session.close().await;
    });
}

/// A server that does not declare the extension is not asked.
#[test]
fn only_servers_that_declare_skills_are_asked_for_them() {
    world::run(async |world| {
        let session = world.open_one(world.echo()).await;
        let error = session.server("a").unwrap().skills().await.unwrap_err();
        assert_eq!(error.kind(), "not_offered", "{error}");
        session.close().await;
    });
}
